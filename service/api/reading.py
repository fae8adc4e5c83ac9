"""Reading one resource: now, or held until it changes, and not sent again to whoever has it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Generic, Literal, TypeVar

from fastapi import Response

from counterweight.contracts.datasets import DatasetView
from counterweight.contracts.jobs import JobView
from counterweight.contracts.studies import StudyView
from service.api.dependencies import Service
from service.api.etags import Known, Snapshot, tagged
from service.domain.callers import Caller

Resource = TypeVar("Resource", JobView, DatasetView, StudyView)


MOVING_HELD_S = 0.2


@dataclass(frozen=True)
class _Found(Generic[Resource]):
    """A resource as it was read, and as it is shown."""

    view: Resource
    shown: Snapshot

    @property
    def id(self) -> str:
        return self.view.id

    @property
    def version(self) -> int:
        return self.view.version


async def read(
    service: Service,
    kind: Literal["job", "dataset", "study"],
    caller: Caller,
    subject: str,
    look: Callable[[], Resource],
    is_final: Callable[[Resource], bool],
    known: Known,
    since_version: int | None,
    wait_s: float,
) -> Response:
    """Answer with a resource. Whoever waits and does not say since which version means the one whose tag it sent."""

    def show() -> _Found[Resource]:
        view = look()
        return _Found(view, service.snapshots.of(view))

    async def find() -> _Found[Resource]:
        key = (kind, caller.project_id, subject)
        return await service.held.get(key, show, lambda found: MOVING_HELD_S if found.shown.moves else inf)

    if wait_s == 0:
        return tagged((await find()).shown, known)
    since = known.version if since_version is None else since_version
    found = await service.waiting.until_changed(subject, find, since, wait_s, lambda found: is_final(found.view))
    return tagged(found.shown, known)
