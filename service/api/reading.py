"""Reading one resource: now, or held until it changes, and not sent again to whoever has it."""

from collections.abc import Callable
from math import inf
from typing import Literal, TypeVar

from fastapi import Response

from counterweight.contracts.datasets import DatasetView
from counterweight.contracts.jobs import JobView
from counterweight.contracts.studies import StudyView
from service.api.dependencies import Service
from service.api.etags import Known, tagged
from service.domain.callers import Caller

Resource = TypeVar("Resource", JobView, DatasetView, StudyView)


MOVING_HELD_S = 0.2


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
    if wait_s == 0:
        key = (kind, caller.project_id, subject)
        shown = await service.held.get(key, lambda: service.snapshots.of(look()), lambda found: MOVING_HELD_S if found.moves else inf)
        return tagged(shown, known)
    since = known.version if since_version is None else since_version
    view = await service.waiting.until_changed(subject, look, since, wait_s, is_final)
    return tagged(service.snapshots.of(view), known)
