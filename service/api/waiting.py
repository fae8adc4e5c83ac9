"""Long-polls: those who wait for one thing to change, woken when it does."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from service.persistence import changes


class Versioned(Protocol):
    """What can be waited for."""

    @property
    def id(self) -> str: ...
    @property
    def version(self) -> int: ...


Resource = TypeVar("Resource", bound=Versioned)


class Waiting:
    """Those who wait in this process. For its event loop alone."""

    def __init__(self) -> None:
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._is_over = False

    def end(self) -> None:
        """Let everybody go with what there is now."""
        self._is_over = True
        self.ring(changes.EVERYTHING)

    def ring(self, subjects: frozenset[str]) -> None:
        """Wake those whose resource is among these, or changes.EVERYTHING."""
        for subject in self._bells if subjects == changes.EVERYTHING else subjects & self._bells.keys():
            for bell in self._bells[subject]:
                bell.set()

    async def until_changed(
        self,
        subject: str,
        look: Callable[[], Awaitable[Resource]],
        since_version: int | None,
        wait_s: float,
        is_final: Callable[[Resource], bool],
    ) -> Resource:
        """Return the resource once its version is above `since_version`, once it is final, or after `wait_s`.

        Without `since_version`: once it differs from what it is now.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        # The bell hangs before the first look: a change between looking and waiting still rings it.
        with self._bell(subject) as bell:
            while True:
                bell.clear()
                found = await look()
                since_version = found.version if since_version is None else since_version
                if found.version > since_version or is_final(found) or self._is_over:
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
