"""What was read from the record, shared by all who ask for the same: many cost what one does."""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from starlette.concurrency import run_in_threadpool

from service.persistence.commits import Commits

Found = TypeVar("Found")

MOST_HELD = 1000


@dataclass
class _Reading:
    """A read under way or done, and until when it may be shown."""

    task: "asyncio.Task[Any]"
    until: float = float("inf")


@dataclass(frozen=True)
class _Found:
    """What was found by a read that began at a mark of the commits, and until when it may be shown."""

    mark: str
    what: Any
    until: float


class Held:
    """Reads of this process. Everything here happens on its event loop, but for the reading itself.

    A read is held for as long as nothing is committed. One begun at some mark of the commits shows at least everything that was committed
    before that mark: whoever finds the mark unchanged would see no more by reading again. On SQLite each who asks looks at the mark. On
    PostgreSQL it has to be asked for: there, all who ask while the same is being read share the next read, which begins with that. Either
    way a write is seen by the next read, as if nothing was shared.
    """

    def __init__(self, commits: Commits, clock: Callable[[], float] = time.monotonic) -> None:
        self._commits, self._clock = commits, clock
        self._mark: str | None = None
        self._latest: str | None = None
        self._is_marked = False
        self._readings: dict[Hashable, _Reading] = {}
        self._found: dict[Hashable, _Found] = {}
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
        self._next: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, look: Callable[[], Found], lasts_s: Callable[[Found], float]) -> Found:
        """Return what `look` finds, or what it found under `key` since the last commit, less than `lasts_s` ago."""
        mark = self._latest_mark() if self._commits.are_near else None
        if mark is None:
            return await self._together(key, lambda: self._read(key, look, lasts_s))
        if mark != self._mark or len(self._readings) >= MOST_HELD:
            self._mark, self._readings = mark, {}
        reading = self._readings.get(key)
        if reading is None or self._clock() >= reading.until:
            reading = self._readings[key] = _Reading(asyncio.ensure_future(run_in_threadpool(look)))
            reading.task.add_done_callback(lambda task: self._settle(key, reading, task, lasts_s))
        # Shielded: others may wait for it too when this caller has gone.
        found: Found = await asyncio.shield(reading.task)
        return found

    def _latest_mark(self) -> str | None:
        """Return the mark of the commits, read once for all that the loop has to do now: what comes in later finds it forgotten."""
        if not self._is_marked:
            self._latest, self._is_marked = self._commits.mark(), True
            asyncio.get_running_loop().call_soon(self._forget_mark)
        return self._latest

    def _forget_mark(self) -> None:
        self._is_marked = False

    async def _together(self, key: Hashable, look: Callable[[], Found]) -> Found:
        """Return what is found by the first read that begins after this call."""
        if key not in self._next:
            self._next[key] = asyncio.ensure_future(self._read_after(self._under_way.get(key), key, look))
        found: Found = await asyncio.shield(self._next[key])
        return found

    async def _read_after(self, earlier: "asyncio.Task[Any] | None", key: Hashable, look: Callable[[], Found]) -> Found:
        if earlier is not None:
            await asyncio.wait([earlier])
        this = self._under_way[key] = self._next.pop(key)
        try:
            return await run_in_threadpool(look)
        finally:
            # By now the next one may have been told to wait for this one; it is begun by itself.
            if self._under_way.get(key) is this:
                del self._under_way[key]

    def _read(self, key: Hashable, look: Callable[[], Found], lasts_s: Callable[[Found], float]) -> Found:
        """Look, unless what was found before is still true. In a thread of its own, but only one for a key."""
        mark, before = self._commits.mark(), self._found.get(key)
        if before is not None and before.mark == mark and self._clock() < before.until:
            return cast("Found", before.what)
        found = look()
        if mark is not None:
            if len(self._found) >= MOST_HELD:
                self._found.clear()
            self._found[key] = _Found(mark, found, self._clock() + lasts_s(found))
        return found

    def _settle(self, key: Hashable, reading: _Reading, task: "asyncio.Task[Any]", lasts_s: Callable[[Any], float]) -> None:
        if not task.cancelled() and task.exception() is None:
            reading.until = self._clock() + lasts_s(task.result())
        elif self._readings.get(key) is reading:
            del self._readings[key]
