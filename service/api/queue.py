"""The route of the queue."""

from fastapi import APIRouter

from counterweight.contracts.queue import QueuePage
from service.api.bodies import StrictRoute
from service.api.dependencies import After, Limit, Reader, ReadSession, now
from service.api.problems import declared
from service.domain.cursors import id_before
from service.persistence import line

router = APIRouter(prefix="/queue", tags=["queue"], route_class=StrictRoute)


@router.get("", operation_id="queue_list", responses=declared())
def list_queue(caller: Reader, session: ReadSession, limit: Limit = 50, after: After = None) -> QueuePage:
    """List the project's queued jobs, the next one first: where each stands, about when it starts, and what keeps it waiting."""
    return line.page(session, caller.project_id, None if after is None else id_before(after, "job"), limit, now())
