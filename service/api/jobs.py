"""The routes of jobs."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from counterweight.contracts.deletions import Deletion
from counterweight.contracts.evaluation import Evaluation
from counterweight.contracts.ids import new_id
from counterweight.contracts.jobs import AttemptRecord, JobPatch, JobPlan, JobSpec, JobView, MetricsView, Transition
from counterweight.contracts.pages import Page
from service.api import histories
from service.api.answers import answer, once, respond
from service.api.bodies import MERGE_PATCH, StrictRoute
from service.api.deleting import delete
from service.api.dependencies import (
    After,
    DryRun,
    IdempotencyKey,
    Limit,
    Reader,
    ReadSession,
    SinceVersion,
    Submitter,
    TraceParent,
    WaitS,
    WriteSession,
    now,
    service_of,
)
from service.api.etags import READ, TAGGED, IfMatch, IfNoneMatch, snapshot, tagged
from service.api.negotiation import preferred
from service.api.problems import declared
from service.api.reading import read
from service.api.submitting import Submission
from service.domain import filters, sorting, submission
from service.domain.fields import FILTERED, SORTED, spelled
from service.persistence import deletion, jobs, metrics, planning, recipes
from service.persistence.idempotency import Answer
from service.persistence.tables import Job

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=StrictRoute)

Filter = Annotated[
    str,
    Query(
        description="Which jobs: comparisons by `= != < <= > >= IN (…)`, joined by AND, OR, NOT and parentheses, of "
        f"{spelled(FILTERED)}. A comparison with what a job does not have is false; NOT is the exact opposite.",
        examples=['state = succeeded AND metrics."test/average_precision" >= 0.6', 'NOT (loss.kind IN (focal) OR labels.team = "risk")'],
    ),
]
Sort = Annotated[
    str,
    Query(
        description=f"By what: one of {spelled(SORTED)}, with a `-` before it for the largest first.",
        examples=["-created_at", '-metrics."test/average_precision"'],
    ),
]
Epoch = Annotated[int | None, Query(ge=0, le=10**9)]


@router.post(
    "",
    operation_id="jobs_submit",
    status_code=201,
    response_model=JobView,
    responses=declared(404, 409, 413, 415, 507) | {200: {"model": JobPlan, "description": "With `dry_run`: what would become of it."}},
)
async def submit_job(
    request: Request, spec: JobSpec, caller: Submitter, key: IdempotencyKey, trace: TraceParent, dry_run: DryRun = False
) -> Response:
    """Queue a training job. Only `dataset_id` is required; every default is settled now, and stored with the job.

    With `dry_run` all is checked and settled, and answered with what the job may need and what would keep it waiting.
    """
    service = service_of(request)

    def plan() -> JobPlan:
        with service.database.read() as session:
            dataset, facts, choices = recipes.ingredients(session, caller.project_id, spec.dataset_id, spec.test_dataset_id)
            return planning.plan(session, dataset, *submission.settle(spec, facts, choices), now())

    if dry_run:
        return Response((await run_in_threadpool(plan)).model_dump_json(), 200, media_type="application/json")
    return respond(await service.submissions.make(Submission(caller.project_id, spec, key, trace, caller.key_id, now())))


@router.get("", operation_id="jobs_list", responses=declared())
def list_jobs(
    caller: Reader,
    session: ReadSession,
    filter: Filter = "",
    sort: Sort = "-created_at",
    limit: Limit = 50,
    after: After = None,
) -> Page[JobView]:
    """List the project's jobs, newest first unless `sort` says otherwise; jobs without the sorted value come last."""
    order = sorting.parse(sort)
    start = None if after is None else sorting.place_before(after, order)
    found, end = jobs.page(session, caller.project_id, filters.parse(filter), order, start, limit)
    return Page(data=jobs.views(session, found, now()), next=None if end is None else sorting.cursor_at(order, end))


@router.get("/{job_id}", operation_id="jobs_get", response_model=JobView, responses=declared(404) | READ)
async def get_job(
    request: Request, caller: Reader, job_id: str, known: IfNoneMatch, wait: WaitS = 0, since_version: SinceVersion = None
) -> Response:
    """Get a job; with `wait`, once its version is above `since_version`, at once when it has ended."""
    service = service_of(request)

    def look() -> JobView:
        with service.database.read() as session:
            return _view(session, jobs.get(session, caller.project_id, job_id))

    return await read(service, "job", caller, job_id, look, lambda view: view.is_terminal, known, since_version, wait)


@router.patch("/{job_id}", operation_id="jobs_update", response_model=JobView, responses=declared(404, 412, 413, 415) | TAGGED)
def update_job(
    patch: Annotated[JobPatch, Body(media_type=MERGE_PATCH)], caller: Submitter, session: WriteSession, job_id: str, expected: IfMatch
) -> Response:
    """Change a job's name, labels or priority. A new priority counts from the next claim on."""
    job = jobs.hold(session, caller.project_id, job_id, expected)
    jobs.edit(session, job, patch, now())
    return tagged(snapshot(_view(session, job)))


@router.delete("/{job_id}", operation_id="jobs_delete", responses=declared(404, 409, 412))
def delete_job(request: Request, caller: Submitter, job_id: str, expected: IfMatch, dry_run: DryRun = False) -> Deletion:
    """Delete a job that is over, with its metrics, its evaluation, its model and its files; with `dry_run`, only say what would go."""
    return delete(
        service_of(request),
        "job",
        lambda session: jobs.hold(session, caller.project_id, job_id, expected),
        deletion.remains_of_job,
        deletion.delete_job,
        is_dry_run=dry_run,
    )


@router.post("/{job_id}/cancel", operation_id="jobs_cancel", status_code=202, responses=declared(404, 409))
def cancel_job(caller: Submitter, session: WriteSession, job_id: str) -> JobView:
    """End a queued job at once, or tell the worker of a running one to stop."""
    job = jobs.hold(session, caller.project_id, job_id)
    jobs.cancel(session, job, now())
    return _view(session, job)


@router.post("/{job_id}/pause", operation_id="jobs_pause", status_code=202, responses=declared(404, 409))
def pause_job(caller: Submitter, session: WriteSession, job_id: str) -> JobView:
    """Take a queued job out of the queue at once, or tell the worker of a running one to keep its place and free the device."""
    job = jobs.hold(session, caller.project_id, job_id)
    jobs.pause(session, job, now())
    return _view(session, job)


@router.post("/{job_id}/resume", operation_id="jobs_resume", status_code=202, responses=declared(404, 409))
def resume_job(caller: Submitter, session: WriteSession, job_id: str) -> JobView:
    """Put a paused job back in its place in the queue; it goes on from its last checkpoint."""
    job = jobs.hold(session, caller.project_id, job_id)
    jobs.resume(session, job, now())
    return _view(session, job)


@router.post("/{job_id}/retry", operation_id="jobs_retry", status_code=201, response_model=JobView, responses=declared(404, 409, 507))
def retry_job(caller: Submitter, session: WriteSession, job_id: str, key: IdempotencyKey, trace: TraceParent) -> Response:
    """Queue a new job with the same spec as one that is over: same seeds, same split, `retry_of` names the old one."""
    moment = now()

    def make() -> Answer:
        old = jobs.hold(session, caller.project_id, job_id)
        job = jobs.retry(session, old, new_id("job", moment), traceparent=trace, created_by=caller.key_id, now=moment)
        return answer(201, _view(session, job), f"/api/v1/jobs/{job.id}")

    made = once(session, caller.project_id, key, ["POST /jobs/{job_id}/retry", job_id], make, moment)
    assert made is not None
    return respond(made)


@router.get("/{job_id}/transitions", operation_id="jobs_transitions", responses=declared(404))
def list_transitions(caller: Reader, session: ReadSession, job_id: str) -> Page[Transition]:
    """List the job's changes of state, in order."""
    return Page(data=jobs.transitions(session, jobs.get(session, caller.project_id, job_id)))


@router.get("/{job_id}/attempts", operation_id="jobs_attempts", responses=declared(404))
def list_attempts(caller: Reader, session: ReadSession, job_id: str) -> Page[AttemptRecord]:
    """List the tries at the job, in order."""
    return Page(data=jobs.attempts(jobs.get(session, caller.project_id, job_id)))


@router.get(
    "/{job_id}/metrics",
    operation_id="jobs_metrics",
    response_model=MetricsView,
    responses=declared(404, 406)
    | {
        200: {
            "content": {histories.CSV: {"schema": {"type": "string"}}, histories.ARROW: {"schema": {"type": "string", "format": "binary"}}}
        }
    },
)
def get_metrics(
    request: Request,
    caller: Reader,
    session: ReadSession,
    job_id: str,
    names: histories.Names = None,
    points: histories.Points = 500,
    from_epoch: Epoch = None,
    to_epoch: Epoch = None,
) -> MetricsView | Response:
    """Get the metrics recorded while training. A longer history is thinned: first, last, lowest and highest point are kept.

    With `Accept: text/csv` or `application/vnd.apache.arrow.stream`, all points are sent, whatever `points` says.
    """
    form = preferred(request.headers.get("accept"), ("application/json", histories.CSV, histories.ARROW))
    jobs.get(session, caller.project_id, job_id)
    wanted = metrics.Wanted(histories.listed(names), from_epoch, to_epoch, points)
    if form == "application/json":
        return MetricsView(series=metrics.read(session, job_id, wanted))
    found = histories.pages(service_of(request).database, job_id, wanted)
    headers = {"Content-Disposition": f'attachment; filename="{job_id}-metrics.{"csv" if form == histories.CSV else "arrow"}"'}
    return StreamingResponse(histories.as_csv(found) if form == histories.CSV else histories.as_arrow(found), 200, headers, form)


@router.get("/{job_id}/evaluation", operation_id="jobs_evaluation", responses=declared(404))
def get_evaluation(caller: Reader, session: ReadSession, job_id: str) -> Evaluation:
    """Get everything measured of the trained model on validation and test rows."""
    return jobs.evaluation(session, jobs.get(session, caller.project_id, job_id))


def _view(session: Session, job: Job) -> JobView:
    return jobs.views(session, [job], now())[0]
