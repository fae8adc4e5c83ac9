"""The routes of workers."""

from fastapi import APIRouter

from counterweight.contracts.pages import Page
from counterweight.contracts.workers import WorkerView
from service.api.bodies import StrictRoute
from service.api.dependencies import After, Limit, Operator, Reader, ReadSession, WriteSession, now
from service.api.problems import declared
from service.domain.cursors import cursor_after, id_before
from service.persistence import agents, workers

router = APIRouter(prefix="/workers", tags=["workers"], route_class=StrictRoute)


@router.get("", operation_id="workers_list", responses=declared())
def list_workers(caller: Reader, session: ReadSession, limit: Limit = 50, after: After = None) -> Page[WorkerView]:
    """List the workers that live, the oldest first: their devices and memory, what they train, when they last showed that they live."""
    found = workers.page(session, None if after is None else id_before(after, "agt"), limit + 1)
    more = cursor_after(found[limit - 1].id) if len(found) > limit else None
    return Page(data=workers.views(session, caller.project_id, found[:limit], now()), next=more)


@router.post("/{worker_id}/drain", operation_id="workers_drain", status_code=202, responses=declared(404))
def drain_worker(caller: Operator, session: WriteSession, worker_id: str) -> WorkerView:
    """Let a worker take no more work and finish what it has; its process lives on, `drained`, until somebody stops it.

    To have its work given back to the queue at once, stop the process instead. Started again, it takes work again.
    """
    moment = now()
    return workers.views(session, caller.project_id, [agents.drain(session, worker_id, moment)], moment)[0]
