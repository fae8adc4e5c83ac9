"""Closed-loop clients for a server on this machine: each asks again as soon as it is answered."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

ANSWER_S = 30


@dataclass(frozen=True)
class Load:
    """How many answers a second all clients got together, how long they waited, how many those were, and how often a connection broke."""

    per_s: float
    p50_ms: float
    p99_ms: float
    answers: int
    broken: int


def poll(url: str, clients: int, seconds: float) -> Load:
    """Ask for `url` with so many clients for so long. Every answer must be a 200; whose connection breaks begins again."""
    return asyncio.run(_load(url, _request(url, "GET"), b"200", clients, seconds))


def post(url: str, content: bytes, clients: int, seconds: float) -> Load:
    """Post the same JSON again and again, as `poll` asks; every answer must be a 201."""
    return asyncio.run(_load(url, _request(url, "POST", content), b"201", clients, seconds))


def median(loads: list[Load]) -> Load:
    per_s, p50, p99 = (
        statistics.median(values) for values in zip(*((each.per_s, each.p50_ms, each.p99_ms) for each in loads), strict=True)
    )
    return Load(per_s, p50, p99, sum(each.answers for each in loads), sum(each.broken for each in loads))


async def _load(url: str, request: bytes, wanted: bytes, clients: int, seconds: float) -> Load:
    started = time.perf_counter()
    every = await asyncio.gather(*(_one(url, request, wanted, started + seconds) for _ in range(clients)))
    passed = time.perf_counter() - started
    waits = sorted(wait for waits, _ in every for wait in waits)
    p50, p99 = (1000 * waits[len(waits) * part // 100] for part in (50, 99))
    return Load(len(waits) / passed, p50, p99, len(waits), sum(broken for _, broken in every))


def _request(url: str, method: str, content: bytes = b"") -> bytes:
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if content else ""
    return f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n{body}\r\n".encode() + content


async def _one(url: str, request: bytes, wanted: bytes, end: float) -> tuple[list[float], int]:
    """Return how long each answer took, and how often the connection broke."""
    waits: list[float] = []
    broken = 0
    while time.perf_counter() < end:
        try:
            await _ask_until(url, request, wanted, end, waits)
        except (OSError, asyncio.IncompleteReadError):
            broken += 1
    return waits, broken


async def _ask_until(url: str, request: bytes, wanted: bytes, end: float, waits: list[float]) -> None:
    parts = urlsplit(url)
    assert parts.hostname == "127.0.0.1", "only this machine is put under load"
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        while (begun := time.perf_counter()) < end:
            writer.write(request)
            async with asyncio.timeout(ANSWER_S):
                await _answered(reader, wanted)
            waits.append(time.perf_counter() - begun)
    finally:
        writer.close()


async def _answered(reader: asyncio.StreamReader, wanted: bytes) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 " + wanted):
        raise RuntimeError(f"answered {head.decode(errors='replace')}")
    _, _, length = head.partition(b"content-length: ")
    await reader.readexactly(int(length.partition(b"\r\n")[0]))
