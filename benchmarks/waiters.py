"""Two thousand who wait on one API process: what they cost it, and how long after a change they hear of it."""

import asyncio
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figures import Figure, at_most
from service.persistence.database import Database
from tests import records
from tests.factories import make_job
from tests.server import Server

WAITERS = 2000
CHANGES = 20
PAUSE_S = 0.3
CONNECTED_AT_ONCE = 50
READY_S, HEARD_S = 120, 60
MOST_MEMORY_MB, LONGEST_DELAY_S = 300.0, 1.0


class Crowd:
    """Those who wait. Each change is made when all have heard of the one before, so that it is plain which one they hear of."""

    def __init__(self, job_url: str) -> None:
        parts = urlsplit(job_url)
        assert parts.hostname == "127.0.0.1", "only this machine is put under load"
        self.host, self.port, self.path = parts.hostname, parts.port, parts.path
        self.doors = asyncio.Semaphore(CONNECTED_AT_ONCE)
        self._heard: list[float] = []
        self._all = asyncio.Event()

    def hear(self) -> None:
        self._heard.append(time.perf_counter())
        if len(self._heard) == WAITERS:
            self._all.set()

    async def all_heard(self, within_s: float) -> list[float]:
        """Return when each heard, once all have."""
        async with asyncio.timeout(within_s):
            await self._all.wait()
        self._all.clear()
        heard, self._heard = self._heard, []
        return heard

    def request(self, method: str, path: str, accept: str, body: bytes = b"") -> bytes:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAccept: {accept}\r\n"
        if body:
            head += f"Content-Type: application/merge-patch+json\r\nContent-Length: {len(body)}\r\n"
        return head.encode() + b"\r\n" + body


Waiter = Callable[[Crowd], Coroutine[Any, Any, None]]


def measure() -> list[Figure]:
    """Let all follow one project as streams, or wait for one job with long-polls, while that job is changed again and again."""
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    ways: list[tuple[str, Waiter]] = [("streams", _follow), ("long-polls", _hold)]
    return [figure for kind in records.available() for name, waiter in ways for figure in _figures(kind, name, waiter)]


def _figures(kind: str, name: str, waiter: Waiter) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory() as folder,
        records.fresh(kind, Path(folder)) as url,
        # A worker would train the job; it is to wait.
        Server(Path(folder) / "home", database_url=url, workers="0") as server,
    ):
        delays, memory = asyncio.run(_measure(f"{server.url}/api/v1/jobs/{_queued_job(url)}", waiter, server))
    what = f"{WAITERS} {name} on {kind}"
    return [
        at_most(f"{what}: memory of the API process", memory, MOST_MEMORY_MB, "MB"),
        at_most(f"{what}: from a change to word of it, p50", statistics.median(delays), LONGEST_DELAY_S, "s"),
        at_most(f"{what}: from a change to word of it, p99", statistics.quantiles(delays, n=100)[98], LONGEST_DELAY_S, "s"),
    ]


def _queued_job(url: str) -> str:
    with closing(Database(url)) as database, database.write() as session:
        return make_job(session).id


async def _measure(job_url: str, waiter: Waiter, server: Server) -> tuple[list[float], float]:
    """Return seconds from sending each change to each waiter's hearing of it, and the most memory the API had, in MB."""
    crowd = Crowd(job_url)
    waiting = [asyncio.create_task(waiter(crowd)) for _ in range(WAITERS)]
    await crowd.all_heard(READY_S)
    delays: list[float] = []
    memory = 0.0
    for number in range(CHANGES):
        await asyncio.sleep(PAUSE_S)
        changed = time.perf_counter()
        await _change(crowd, number)
        delays += [heard - changed for heard in await crowd.all_heard(HEARD_S)]
        memory = max(memory, server.part("service.api").memory_info().rss / 1e6)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return delays, memory


async def _change(crowd: Crowd, number: int) -> None:
    reader, writer = await asyncio.open_connection(crowd.host, crowd.port)
    writer.write(crowd.request("PATCH", crowd.path, "application/json", f'{{"name": "change {number}"}}'.encode()))
    await _body(reader)
    writer.close()


async def _follow(crowd: Crowd) -> None:
    """Follow the project: say so when the snapshot is there, and at each change."""
    async with crowd.doors:
        reader, writer = await asyncio.open_connection(crowd.host, crowd.port)
        writer.write(crowd.request("GET", f"{crowd.path.partition('/jobs/')[0]}/events", "text/event-stream"))
        await reader.readuntil(b"event: snapshot")
    crowd.hear()
    try:
        while True:
            await reader.readuntil(b"event: edit")
            crowd.hear()
    finally:
        writer.close()


async def _hold(crowd: Crowd) -> None:
    """Read the job, then wait for each of its next versions."""
    async with crowd.doors:
        reader, writer = await asyncio.open_connection(crowd.host, crowd.port)
        writer.write(crowd.request("GET", crowd.path, "application/json"))
        version = _version(await _body(reader))
    try:
        while True:
            crowd.hear()
            while True:
                writer.write(crowd.request("GET", f"{crowd.path}?wait=60&since_version={version}", "application/json"))
                if (latest := _version(await _body(reader))) > version:
                    break
            version = latest
    finally:
        writer.close()


def _version(job: bytes) -> int:
    return int(job.partition(b'"version":')[2].partition(b",")[0])


async def _body(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    return await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
