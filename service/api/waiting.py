"""Long-polls: one thread watches the record for all who wait, and wakes only those whose resource changed."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from starlette.concurrency import run_in_threadpool

from service.persistence import changes
from service.persistence.database import Database

logger = logging.getLogger(__name__)

RESTART_S = 1.0


class Versioned(Protocol):
    """What can be waited for."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...


Resource = TypeVar("Resource", bound=Versioned)


class Waiting:
    """Those who wait in this process. `start` and `end` it on the event loop that serves them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="waiting", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let everybody go with what there is now."""
        self._stop.set()
        self._ring(changes.EVERYTHING)

    def join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    async def until_changed(
        self, subject: str, look: Callable[[], Resource], since_version: int | None, wait_s: float, is_final: Callable[[Resource], bool]
    ) -> Resource:
        """Return the resource once its version is above `since_version`, once it is final, or after `wait_s`.

        Without `since_version`: once it differs from what it is now.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        # The bell hangs before the first look: a change between looking and waiting still rings it.
        with self._bell(subject) as bell:
            while True:
                bell.clear()
                found = await run_in_threadpool(look)
                since_version = found.version if since_version is None else since_version
                if found.version > since_version or is_final(found) or self._stop.is_set():
                    return found
                try:
                    async with asyncio.timeout_at(deadline):
                        await bell.wait()
                except TimeoutError:
                    return found

    @contextmanager
    def _bell(self, subject: str) -> Iterator[asyncio.Event]:
        bell = asyncio.Event()
        bells = self._bells.setdefault(subject, set())
        bells.add(bell)
        try:
            yield bell
        finally:
            bells.discard(bell)
            if not bells and self._bells.get(subject) is bells:
                del self._bells[subject]

    def _ring(self, subjects: frozenset[str]) -> None:
        for subject in self._bells if subjects == changes.EVERYTHING else subjects & self._bells.keys():
            for bell in self._bells[subject]:
                bell.set()

    def _watch(self) -> None:
        assert self._loop is not None
        while not self._stop.is_set():
            try:
                for subjects in changes.watch(self._database, self._stop):
                    if subjects:
                        self._loop.call_soon_threadsafe(self._ring, subjects)
            except Exception:
                # Without this thread nobody would be woken: whatever went wrong, begin again. Waiters answer at their own deadline.
                logger.exception("watching the record failed; starting again")
                self._stop.wait(RESTART_S)
