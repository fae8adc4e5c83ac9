"""Jobs in the record: making them, finding them, and showing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, select, true
from sqlalchemy.orm import Session, joinedload, make_transient_to_detached, selectinload
from sqlalchemy.orm.attributes import instance_dict
from sqlalchemy.orm.interfaces import ORMOption

from counterweight.contracts.evaluation import Evaluation, Metric
from counterweight.contracts.ids import is_id
from counterweight.contracts.jobs import (
    Action,
    AttemptRecord,
    AttemptView,
    DatasetRef,
    JobPatch,
    JobView,
    QueueView,
    ResolvedSpec,
    SeriesSummary,
    Transition,
    Usage,
)
from counterweight.contracts.loss_resolution import ResolvedLoss
from counterweight.crashpoints import crashpoint
from service.domain import lifecycle
from service.domain.admission import turn
from service.domain.cohorts import cohort_key
from service.domain.editing import merged_labels
from service.domain.errors import NotFound
from service.domain.filters import Condition
from service.domain.sorting import Order, Place
from service.domain.versions import ANY, Expected
from service.persistence import events, filters, inserting, line, sorting
from service.persistence.admission import place_in_line
from service.persistence.tables import Artifact, Attempt, Dataset, Job, JobEvaluation

_SHOWN: tuple[ORMOption, ...] = (
    joinedload(Job.dataset).load_only(Dataset.id, Dataset.sha256),
    joinedload(Job.test_dataset).load_only(Dataset.id, Dataset.sha256),
    selectinload(Job.attempts).joinedload(Attempt.agent),
    selectinload(Job.series),
    selectinload(Job.results),
)
"""Everything a view needs, in a number of queries that does not grow with the page."""


@dataclass(frozen=True)
class NewJob:
    """A job to be queued, with nothing left open."""

    id: str
    dataset: Dataset
    spec: ResolvedSpec
    loss: ResolvedLoss
    traceparent: str | None
    created_by: str | None
    created_at: datetime
    retry_of: str | None = None


def add_all(session: Session, new: Sequence[NewJob]) -> list[Job]:
    """Queue jobs."""
    rows = [_row(one) for one in new]
    inserting.add_rows(session, Job, rows)
    crashpoint("submission.before_event")
    jobs = [_as_read(session, one, row) for one, row in zip(new, rows, strict=True)]
    events.log_new_jobs(session, jobs)
    return jobs


def columns_of(job_id: str, spec: ResolvedSpec, loss: ResolvedLoss, now: datetime) -> dict[str, Any]:
    """Return the columns of a job to be queued that follow from what is to be trained."""
    return {
        "id": job_id,
        "dataset_id": spec.dataset_id,
        "test_dataset_id": spec.test_dataset_id,
        "name": spec.name,
        "labels": spec.labels,
        "spec": spec,
        "loss": loss,
        "loss_kind": spec.loss.kind,
        "loss_gamma": getattr(spec.loss, "gamma", None),
        "learner_kind": spec.learner.kind,
        "cohort_key": cohort_key(spec),
        "state": "queued",
        "phase": "waiting",
        "created_at": now,
        "queued_at": now,
        **place_in_line(spec, now),
    }


_EMPTY = {column.key: None if column.default is None else column.default.arg for column in Job.__table__.columns}


def _row(new: NewJob) -> dict[str, Any]:
    told = {"retry_of": new.retry_of, "traceparent": new.traceparent, "created_by": new.created_by}
    return _EMPTY | columns_of(new.id, new.spec, new.loss, new.created_at) | told | {"project_id": new.dataset.project_id}


def _as_read(session: Session, new: NewJob, row: dict[str, Any]) -> Job:
    """Return the job of a row that was written, as if it had been read, ready to be shown."""
    test = None if new.spec.test_dataset_id is None else session.get_one(Dataset, new.spec.test_dataset_id)
    job = Job(dataset=new.dataset, test_dataset=test, attempts=[], series=[], results=[])
    # As what reads a row does it: set one by one, each column would be noted as changed.
    instance_dict(job).update(row)
    make_transient_to_detached(job)
    session.add(job)
    return job


def get(session: Session, project_id: str, job_id: str) -> Job:
    """Return a job, ready to be shown; NotFound when there is none of this id in the project."""
    return _one(session, _of_project(project_id).options(*_SHOWN), job_id)


def page(
    session: Session, project_id: str, wanted: Condition | None, order: Order, after: Place | None, limit: int
) -> tuple[list[Job], Place | None]:
    """Return up to `limit` jobs that meet a condition, of those after `after` in this order, and where the next page begins."""
    meets = true() if wanted is None else filters.condition(wanted)
    found = sorting.places(session, and_(Job.project_id == project_id, meets), order, after, limit + 1)
    ids = [place.job_id for place in found[:limit]]
    jobs = {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids)).options(*_SHOWN))}
    # One may have been deleted between the two queries.
    return [jobs[job_id] for job_id in ids if job_id in jobs], found[limit - 1] if len(found) > limit else None


def counts(session: Session, project_id: str) -> dict[str, int]:
    """Return how many jobs of the project are in each state; states without any are left out."""
    rows = session.execute(select(Job.state, func.count()).where(Job.project_id == project_id).group_by(Job.state))
    return {state: count for state, count in rows}


def hold(session: Session, project_id: str, job_id: str, expected: Expected = ANY) -> Job:
    """Return a job to be changed, locked: a worker that claims or ends it at this moment does so before or after, not meanwhile.

    NotFound when there is none, StaleVersion when it is not of an expected version.
    """
    job = _one(session, _of_project(project_id).options(*_SHOWN).with_for_update(of=Job), job_id)
    expected.check(job.version)
    return job


def cancel(session: Session, job: Job, now: datetime) -> None:
    """End a job that no worker has at once; ask the worker of another to stop. WrongState where there is nothing to cancel."""
    _move(session, job, "cancel", "cancelled by its owner", now)


def pause(session: Session, job: Job, now: datetime) -> None:
    """Take a queued job out of the queue at once; ask the worker of a running one to keep its place and leave it. May be WrongState."""
    _move(session, job, "pause", "paused by its owner", now)


def resume(session: Session, job: Job, now: datetime) -> None:
    """Put a paused job back in its place in the queue; WrongState for any other."""
    _move(session, job, "resume", "resumed by its owner", now)


def _move(session: Session, job: Job, action: Action, reason: str, now: datetime) -> None:
    lifecycle.require(action, job.id, job.state, job.study_id)
    events.move_job(session, job, lifecycle.AT_ONCE[action][job.state], reason, now)


def edit(session: Session, job: Job, patch: JobPatch, now: datetime) -> None:
    """Change a job's name, labels or priority, in its spec too: what is tried again is what is shown."""
    after = {field: getattr(patch, field) for field in patch.model_fields_set - {"labels"}}
    if "labels" in patch.model_fields_set:
        after["labels"] = merged_labels(job.labels, patch.labels)
    changed = {field: value for field, value in after.items() if value != getattr(job, field)}
    if changed:
        for field, value in changed.items():
            setattr(job, field, value)
        job.turn = turn(job.created_at, job.priority)
        job.spec = job.spec.model_copy(update=changed)
        events.note_edit(session, job, sorted(changed), now)


def retry(session: Session, job: Job, job_id: str, *, traceparent: str | None, created_by: str | None, now: datetime) -> Job:
    """Queue a job with the same spec as one that is over."""
    lifecycle.require("retry", job.id, job.state, job.study_id)
    return add_all(session, [NewJob(job_id, job.dataset, job.spec, job.loss, traceparent, created_by, now, retry_of=job.id)])[0]


def views(session: Session, jobs: Sequence[Job], now: datetime) -> list[JobView]:
    """Return jobs as the service answers them."""
    places = line.places(session, jobs, now)
    return [_view(job, places.get(job.id, QueueView(position=None)), now) for job in jobs]


def attempts(job: Job) -> list[AttemptRecord]:
    """Return every try at the job, in order."""
    return [
        AttemptRecord(
            **_attempt(attempt).model_dump(),
            host=attempt.agent.host,
            ended_at=attempt.ended_at,
            outcome=attempt.outcome,
            detail=attempt.detail,
            action=attempt.action,
            began=attempt.began,
            reached=attempt.reached,
            kept=attempt.kept,
            micro_batch=attempt.micro_batch,
        )
        for attempt in job.attempts
    ]


def _view(job: Job, place: QueueView, now: datetime) -> JobView:
    path = f"/api/v1/jobs/{job.id}"
    return JobView(
        id=job.id,
        version=job.version,
        name=job.name,
        labels=job.labels,
        project=job.project_id,
        spec=job.spec,
        resolved=job.resolved,
        loss=job.loss,
        state=job.state,
        phase=job.phase,
        state_reason=job.state_reason,
        is_terminal=lifecycle.is_terminal(job.state),
        allowed_actions=lifecycle.allowed_actions(job.state, job.study_id is not None),
        study_id=job.study_id,
        cohort_id=job.cohort_id,
        retry_of=job.retry_of,
        dataset=DatasetRef.model_validate(job.dataset),
        test_dataset=None if job.test_dataset is None else DatasetRef.model_validate(job.test_dataset),
        queue=place,
        progress=job.progress,
        latest={series.name: SeriesSummary.model_validate(series) for series in job.series},
        metrics={metric.name: Metric.model_validate(metric) for metric in job.results},
        attempt=_attempt(job.attempts[-1]) if job.attempts else None,
        model_id=job.model_id,
        error=job.error,
        created_at=job.created_at,
        queued_at=job.queued_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        usage=_usage(job, now),
        links={"self": path, "dataset": f"/api/v1/datasets/{job.dataset_id}"}
        | {name: f"{path}/{name}" for name in ("metrics", "evaluation", "events", "transitions", "attempts", "logs", "artifacts")},
    )


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        worker=attempt.agent_id,
        device=attempt.device,
        started_at=attempt.started_at,
        # A worker lives on after an attempt, unless it was lost.
        heartbeat_at=attempt.agent.beat_at if attempt.outcome in (None, "lost") else attempt.ended_at,
    )


def _usage(job: Job, now: datetime) -> Usage:
    """The record counts what is over; what is going on is added as of now."""
    queued_s, run_s = job.queued_s, job.run_s
    if job.state == "queued":
        queued_s += max(0.0, (now - job.queued_at).total_seconds())
    elif job.state in lifecycle.HELD and job.started_at is not None:
        run_s += max(0.0, (now - job.started_at).total_seconds())
    return Usage(queued_s=queued_s, run_s=run_s, gpu_s=job.gpu_s)


def evaluation(session: Session, job: Job) -> Evaluation:
    """Return what was measured of a finished job's model; NotFound before that."""
    found = session.get(JobEvaluation, job.id)
    if found is None:
        raise NotFound(f"job {job.id} is {job.state} and has no evaluation; one is made when a job succeeds")
    return found.body


def artifact_path(session: Session, job: Job, name: str) -> str | None:
    """Return where a file of a finished job lies; None when the job has none of this name."""
    found = session.get(Artifact, (job.id, name))
    return None if found is None else found.path


def transitions(session: Session, job: Job) -> list[Transition]:
    """Return every change of the job's state, in order."""
    rows = events.of_job(session, job.id)
    return [
        Transition.model_validate({"at": row.at, "from_state": row.from_state, "to_state": row.to_state, "reason": row.reason})
        for row in rows
    ]


def _of_project(project_id: str) -> Select[Job]:
    return select(Job).where(Job.project_id == project_id)


def _one(session: Session, query: Select[Job], job_id: str) -> Job:
    job = session.scalar(query.where(Job.id == job_id)) if is_id("job", job_id) else None
    if job is None:
        raise NotFound(f"there is no job {job_id!r} in this project")
    return job
