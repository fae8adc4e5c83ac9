"""Closed-loop clients for a server on this machine: each asks again as soon as it is answered."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_S = 30


@dataclass(frozen=True)
class Load:
    """How many answers a second all clients got together, how long they waited, and how often a connection broke."""

    per_s: float
    p50_ms: float
    p99_ms: float
    broken: int


def poll(url: str, clients: int, seconds: float) -> Load:
    """Ask for `url` with so many clients for so long. Every answer must be a 200; whose connection breaks begins again."""
    return asyncio.run(_poll(url, clients, seconds))


def median(loads: list[Load]) -> Load:
    per_s, p50, p99 = (
        statistics.median(values) for values in zip(*((each.per_s, each.p50_ms, each.p99_ms) for each in loads), strict=True)
    )
    return Load(per_s, p50, p99, sum(each.broken for each in loads))


async def _poll(url: str, clients: int, seconds: float) -> Load:
    started = time.perf_counter()
    every = await asyncio.gather(*(_one(url, started + seconds) for _ in range(clients)))
    passed = time.perf_counter() - started
    waits = sorted(wait for waits, _ in every for wait in waits)
    return Load(
        len(waits) / passed, 1000 * waits[len(waits) // 2], 1000 * waits[len(waits) * 99 // 100], sum(broken for _, broken in every)
    )


async def _one(url: str, end: float) -> tuple[list[float], int]:
    """Return how long each answer took, and how often the connection broke."""
    waits: list[float] = []
    broken = 0
    while time.perf_counter() < end:
        try:
            await _ask_until(url, end, waits)
        except (OSError, asyncio.IncompleteReadError):
            broken += 1
    return waits, broken


async def _ask_until(url: str, end: float, waits: list[float]) -> None:
    parts = urlsplit(url)
    assert parts.hostname == "127.0.0.1", "only this machine is put under load"
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        while (begun := time.perf_counter()) < end:
            writer.write(request)
            async with asyncio.timeout(ANSWER_S):
                await _answered(reader)
            waits.append(time.perf_counter() - begun)
    finally:
        writer.close()


async def _answered(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"answered {head.decode(errors='replace')}")
    _, _, length = head.partition(b"content-length: ")
    await reader.readexactly(int(length.partition(b"\r\n")[0]))
