"""Reading one resource: now, or held until it changes, and not sent again to whoever has it."""

from collections.abc import Callable
from typing import TypeVar

from fastapi import Response
from starlette.concurrency import run_in_threadpool

from counterweight.contracts.datasets import DatasetView
from counterweight.contracts.jobs import JobView
from service.api.dependencies import Service
from service.api.etags import Known, tagged

Resource = TypeVar("Resource", JobView, DatasetView)


async def read(
    service: Service,
    subject: str,
    look: Callable[[], Resource],
    is_final: Callable[[Resource], bool],
    known: Known,
    since_version: int | None,
    wait_s: float,
) -> Response:
    """Answer with a resource. Whoever waits and does not say since which version means the one whose tag it sent."""
    if wait_s == 0:
        view = await run_in_threadpool(look)
    else:
        since = known.version if since_version is None else since_version
        view = await service.waiting.until_changed(subject, look, since, wait_s, is_final)
    return tagged(service.snapshots.of(view), known)
