"""The pages of jobs: the table, and each job's training, evaluation, specification and course."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.responses import RedirectResponse

from counterweight.contracts.ids import new_id
from counterweight.contracts.jobs import JobView
from service.api.bodies import StrictRoute
from service.api.dependencies import After, Reader, ReadSession, Submitter, WriteSession, now
from service.domain import filters, sorting, submission
from service.domain.errors import Invalid, NotFound
from service.persistence import artifacts, datasets, jobs, logs
from service.persistence.tables import Job
from service.web.samples import samples_of
from service.web.settings import settings_of
from service.web.templates import address, page

router = APIRouter(prefix="/ui/jobs", route_class=StrictRoute, include_in_schema=False)

ROWS, LINES = 50, 500

NEWEST = "-created_at"

Filter = Annotated[str, Query(description="The filter of `GET /api/v1/jobs`.")]
Sort = Annotated[str, Query(description="Its order.")]


@router.get("")
def show_jobs(
    request: Request, caller: Reader, session: ReadSession, filter: Filter = "", sort: Sort = NEWEST, after: After = None
) -> Response:
    """The table of jobs; a filter that cannot be read is told of under its box."""
    order = sorting.parse(sort)
    start = None if after is None else sorting.place_before(after, order)
    flaw, found, end = None, list[Job](), None
    try:
        found, end = jobs.page(session, caller.project_id, filters.parse(filter), order, start, ROWS)
    except Invalid as refusal:
        flaw = refusal.detail
    counts = jobs.counts(session, caller.project_id)
    return page(
        request,
        "jobs.html",
        jobs=jobs.views(session, found, now()),
        dataset_names=datasets.names(session, {job.dataset_id for job in found}),
        counts=counts,
        total=sum(counts.values()),
        filter=filter,
        flaw=flaw,
        after=after,
        next=None if end is None else sorting.cursor_at(order, end),
        sort=sort,
        order=None if sort == NEWEST else sort,
    )


@router.get("/{job_id}")
def show_training(request: Request, caller: Reader, session: ReadSession, job_id: str) -> Response:
    """How a job is doing, while it trains and afterwards."""
    job = jobs.get(session, caller.project_id, job_id)
    return _page(
        request,
        session,
        job,
        "job_training.html",
        transitions=jobs.transitions(session, job),
        attempts=jobs.attempts(job),
        files=[artifacts.view(artifact) for artifact in artifacts.of_job(session, job)],
    )


@router.get("/{job_id}/evaluation")
def show_evaluation(request: Request, caller: Reader, session: ReadSession, job_id: str) -> Response:
    """What was measured of a finished job's model."""
    job = jobs.get(session, caller.project_id, job_id)
    try:
        evaluation = jobs.evaluation(session, job)
    except NotFound:
        evaluation = None
    return _page(request, session, job, "job_evaluation.html", evaluation=evaluation)


@router.get("/{job_id}/spec")
def show_spec(request: Request, caller: Reader, session: ReadSession, job_id: str) -> Response:
    """What was asked for, what of it is not the default, and the same as code."""
    job = jobs.get(session, caller.project_id, job_id)
    try:
        usual = submission.usual(job.spec, datasets.facts(job.dataset))
    except Invalid:  # What a release before this one took, this one may refuse.
        usual = None
    samples = samples_of(job.spec, usual, address(request))
    return _page(request, session, job, "job_spec.html", groups=settings_of(job.spec, usual), samples=samples)


@router.get("/{job_id}/log")
def show_log(request: Request, caller: Reader, session: ReadSession, job_id: str) -> Response:
    """What the trainer had to say last."""
    job = jobs.get(session, caller.project_id, job_id)
    lines = logs.tail(session, job.id, LINES + 1)
    dropped = logs.dropped(session, job.id)
    return _page(request, session, job, "job_log.html", lines=lines[-LINES:], is_whole=len(lines) <= LINES, dropped=dropped)


@router.post("/{job_id}/cancel")
def cancel_job(caller: Submitter, session: WriteSession, job_id: str) -> Response:
    """Cancel, and show the job again."""
    jobs.cancel(session, jobs.hold(session, caller.project_id, job_id), now())
    return RedirectResponse(f"/ui/jobs/{job_id}", 303)


@router.post("/{job_id}/pause")
def pause_job(caller: Submitter, session: WriteSession, job_id: str) -> Response:
    """Pause, and show the job again."""
    jobs.pause(session, jobs.hold(session, caller.project_id, job_id), now())
    return RedirectResponse(f"/ui/jobs/{job_id}", 303)


@router.post("/{job_id}/resume")
def resume_job(caller: Submitter, session: WriteSession, job_id: str) -> Response:
    """Resume, and show the job again."""
    jobs.resume(session, jobs.hold(session, caller.project_id, job_id), now())
    return RedirectResponse(f"/ui/jobs/{job_id}", 303)


@router.post("/{job_id}/retry")
def retry_job(caller: Submitter, session: WriteSession, job_id: str) -> Response:
    """Queue a new job with the same specification, and show that one."""
    moment = now()
    old = jobs.hold(session, caller.project_id, job_id)
    job = jobs.retry(session, old, new_id("job", moment), traceparent=None, created_by=caller.key_id, now=moment)
    return RedirectResponse(f"/ui/jobs/{job.id}", 303)


def _page(request: Request, session: Session, job: Job, template: str, **content: Any) -> Response:
    view: JobView = jobs.views(session, [job], now())[0]
    dataset = datasets.get(session, job.project_id, job.dataset_id)
    return page(request, template, job=view, dataset=datasets.view(dataset), **content)
