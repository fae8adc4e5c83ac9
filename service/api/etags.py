"""ETags: which state of a resource an answer shows, so that it is neither sent twice nor changed unseen.

A tag is `"<version>"`, or `"<version>-<digest>"` where something moves without the version: the progress of a job, its place in
the queue, its worker's heartbeat. `If-None-Match` compares whole tags; `If-Match` compares versions, so that progress does not
stand in the way of a change.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Response

from counterweight.contracts.datasets import DatasetView
from counterweight.contracts.jobs import JobView
from counterweight.contracts.studies import StudyView
from service.domain.versions import ANY, Expected

MOVING = {"progress", "latest", "queue", "attempt", "resolved", "counts"}
"""What of a job or a study moves without its version. A job's `usage` does so at every moment, and makes no difference."""

HELD_S = 1.0
MOST_HELD = 1000

_TAG = re.compile(r'(?:W/)?"([0-9]{1,9})(?:-[0-9a-f]+)?"')

TAGGED: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"description": "For `If-None-Match` and `If-Match`.", "schema": {"type": "string"}}}}
}
READ: dict[int | str, dict[str, Any]] = {**TAGGED, 304: {"description": "It still is as `If-None-Match` says."}}
"""What routes declare: those that answer with a resource, and those that read one."""


@dataclass(frozen=True)
class Snapshot:
    """An answer as it is sent, and the tag of exactly that."""

    version: int
    tag: str
    body: str

    @property
    def moves(self) -> bool:
        """Whether it may change without a commit: times that pass are counted."""
        return "-" in self.tag


Shown = JobView | DatasetView | StudyView


def snapshot(view: Shown) -> Snapshot:
    tag = f'"{view.version}"'
    if not isinstance(view, DatasetView) and not view.is_terminal:
        digest = hashlib.blake2b(view.model_dump_json(include=MOVING).encode(), digest_size=8).hexdigest()
        tag = f'"{view.version}-{digest}"'
    return Snapshot(view.version, tag, view.model_dump_json())


class Snapshots:
    """What this process shows. What moves without a version is shown anew, and so changes the tag, at most once a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, tuple[float, Snapshot]] = {}

    def of(self, view: Shown) -> Snapshot:
        """Return what to answer to whoever reads the record as `view`."""
        if isinstance(view, DatasetView) or view.is_terminal:
            return snapshot(view)
        with self._lock:
            since, held = self._held.get(view.id, (0.0, None))
            if held is not None and held.version == view.version and self._clock() - since < HELD_S:
                return held
            fresh = snapshot(view)
            # Whoever has read an earlier version, and comes later, does not bring it back.
            if held is None or held.version <= view.version:
                self._held.pop(view.id, None)
                self._held[view.id] = self._clock(), fresh
            if len(self._held) > MOST_HELD:
                del self._held[next(iter(self._held))]
            return fresh


@dataclass(frozen=True)
class Known:
    """What the client has already: the tags of `If-None-Match`."""

    tags: frozenset[str] = frozenset()

    @property
    def version(self) -> int | None:
        """The newest version among them."""
        return max((int(found[1]) for found in map(_TAG.fullmatch, self.tags) if found), default=None)

    def includes(self, tag: str) -> bool:
        return bool(self.tags & {tag, "*"})


def tagged(shown: Snapshot, known: Known | None = None) -> Response:
    """Answer with a resource, or with 304 to whoever knows just this."""
    headers = {"ETag": shown.tag, "Cache-Control": "private, no-cache"}
    if known is not None and known.includes(shown.tag):
        return Response(None, 304, headers)
    return Response(shown.body, 200, headers, "application/json")


def _listed(header: str) -> list[str]:
    # Weak tags too: what lies between may have compressed an answer, and says so in its tag.
    return [tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip()]


async def if_none_match(
    value: Annotated[
        str | None, Header(alias="If-None-Match", description="Tags the client has; one of them that still holds is answered with 304.")
    ] = None,
) -> Known:
    return Known(frozenset(_listed(value or "")))


async def if_match(
    value: Annotated[
        str | None, Header(alias="If-Match", description='Tags, or versions such as `"7"`; 412 when it has another version by now.')
    ] = None,
) -> Expected:
    if value is None or value.strip() == "*":
        return ANY
    return Expected(frozenset(int(found[1]) for found in map(_TAG.fullmatch, _listed(value)) if found))


IfNoneMatch = Annotated[Known, Depends(if_none_match)]
IfMatch = Annotated[Expected, Depends(if_match)]
