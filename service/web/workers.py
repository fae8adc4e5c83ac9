"""The page of workers: who trains, what waits, and draining one."""

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from service.api.bodies import StrictRoute
from service.api.dependencies import Operator, Reader, ReadSession, WriteSession, is_operator, now
from service.persistence import agents, line, workers
from service.web.templates import page

router = APIRouter(prefix="/ui/workers", route_class=StrictRoute, include_in_schema=False)

WORKERS, JOBS = 200, 50


@router.get("")
def show_workers(request: Request, caller: Reader, session: ReadSession) -> Response:
    """The workers that live, and the beginning of the queue."""
    moment = now()
    found = workers.views(session, caller.project_id, workers.page(session, None, WORKERS), moment)
    queue = line.page(session, caller.project_id, None, JOBS, moment)
    return page(request, "workers.html", workers=found, queue=queue, may_drain=is_operator(caller))


@router.post("/{worker_id}/drain")
def drain_worker(_caller: Operator, session: WriteSession, worker_id: str) -> Response:
    """Let a worker take no more work, and show the workers again."""
    agents.drain(session, worker_id, now())
    return RedirectResponse("/ui/workers", 303)
