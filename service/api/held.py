"""What was read from the record, held for as long as nothing is committed: many who ask for the same cost what one does."""

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from service.persistence.commits import Commits

Found = TypeVar("Found")

MOST_HELD = 1000


@dataclass
class _Reading:
    """A read under way or done, and until when it may be shown."""

    task: "asyncio.Task[Any]"
    until: float = float("inf")


class Held:
    """Reads of this process. Everything here happens on its event loop, but for the reading itself.

    A read begun at some mark of the commits shows at least everything that was committed before that mark: whoever finds the mark
    unchanged would see no more by reading again. So a write is seen by the next read, as if nothing was held.
    """

    def __init__(self, commits: Commits, clock: Callable[[], float] = time.monotonic) -> None:
        self._commits, self._clock = commits, clock
        self._mark: int | None = None
        self._readings: dict[Hashable, _Reading] = {}

    async def get(self, key: Hashable, look: Callable[[], Found], lasts_s: Callable[[Found], float]) -> Found:
        """Return what `look` finds, or what it found under `key` since the last commit, less than `lasts_s` ago."""
        mark = self._commits.mark()
        if mark is None:
            return await run_in_threadpool(look)
        if mark != self._mark or len(self._readings) >= MOST_HELD:
            self._mark, self._readings = mark, {}
        reading = self._readings.get(key)
        if reading is None or self._clock() >= reading.until:
            reading = self._readings[key] = _Reading(asyncio.ensure_future(run_in_threadpool(look)))
            reading.task.add_done_callback(lambda task: self._settle(key, reading, task, lasts_s))
        # Shielded: others may wait for it too when this caller has gone.
        found: Found = await asyncio.shield(reading.task)
        return found

    def _settle(self, key: Hashable, reading: _Reading, task: "asyncio.Task[Any]", lasts_s: Callable[[Any], float]) -> None:
        if not task.cancelled() and task.exception() is None:
            reading.until = self._clock() + lasts_s(task.result())
        elif self._readings.get(key) is reading:
            del self._readings[key]
