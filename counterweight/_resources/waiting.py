"""Waiting for a resource to change or to be over: held requests, one after another, through restarts of the server."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, TypeVar

from counterweight.errors import ServerUnreachable, WaitTimeout

LONGEST_HOLD_S = 30
RESTART_PATIENCE_S = 60.0


class Versioned(Protocol):
    @property
    def version(self) -> int: ...
    @property
    def state(self) -> str: ...


class Ending(Versioned, Protocol):
    @property
    def is_terminal(self) -> bool: ...


Read = TypeVar("Read")
Resource = TypeVar("Resource", bound=Versioned)


def watch(
    get: Callable[[float, int | None], Resource], is_over: Callable[[Resource], bool], timeout_s: float | None, every_s: float
) -> Iterator[Resource]:
    """Yield what `get(wait_s, since_version)` returns, until it is over."""
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    seen = get(0, None)
    while True:
        yield seen
        if is_over(seen):
            return
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            how = "it is paused, and waits to be resumed" if seen.state == "paused" else "it goes on"
            raise WaitTimeout(f"not done within {timeout_s:g} s; {how}")
        seen = through_restarts(partial(get, min(every_s, left_s), seen.version))


def through_restarts(read: Callable[[], Read]) -> Read:
    """Read, if need be again after a restart of the server; ServerUnreachable when it stays away."""
    give_up = time.monotonic() + RESTART_PATIENCE_S
    while True:
        try:
            return read()
        except ServerUnreachable:
            if time.monotonic() >= give_up:
                raise
            time.sleep(1)


def last(resources: Iterator[Resource]) -> Resource:
    return deque(resources, maxlen=1).pop()


def is_over(resource: Ending) -> bool:
    return resource.is_terminal
