"""The route of a job's log."""

from dataclasses import dataclass
from math import inf
from typing import Annotated

from fastapi import APIRouter, Query, Request

from counterweight.contracts.jobs import LogLine, LogPage
from service.api.bodies import StrictRoute
from service.api.dependencies import Limit, Reader, WaitS, service_of
from service.api.problems import declared
from service.domain import lifecycle
from service.persistence import jobs, logs

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=StrictRoute)


@dataclass(frozen=True)
class _Tail:
    """What can be waited for: its version is the last line's id."""

    id: str
    version: int
    page: LogPage


@router.get("/{job_id}/logs", operation_id="jobs_logs", responses=declared(404))
async def get_logs(
    request: Request,
    caller: Reader,
    job_id: str,
    after: Annotated[int, Query(ge=0, lt=2**63, description="The `id` of the last line known.")] = 0,
    limit: Limit = 200,
    wait: WaitS = 0,
) -> LogPage:
    """Read the job's log, oldest line first; with `wait`, as soon as there is a line after `after`, at once when the job has ended."""
    service = service_of(request)

    def look() -> _Tail:
        with service.database.read() as session:
            # The job first: lines are written no later than in the transaction that ends it.
            job = jobs.get(session, caller.project_id, job_id)
            is_over = lifecycle.is_terminal(job.state)
            found = logs.page(session, job.id, after, limit + 1)
            shown, has_more = found[:limit], len(found) > limit
            page = LogPage(
                data=[LogLine.model_validate(line) for line in shown],
                next=str(shown[-1].id) if has_more else None,
                dropped=logs.dropped(session, job.id),
                is_final=is_over and not has_more,
            )
            return _Tail(job.id, shown[-1].id if shown else after, page)

    async def find() -> _Tail:
        return await service.held.get(("log", caller.project_id, job_id, after, limit), look, lambda _: inf)

    if wait == 0:
        return (await find()).page
    return (await service.waiting.until_changed(job_id, find, after, wait, lambda tail: tail.page.is_final)).page
