"""Writes what a child process reports into the record, one fenced transaction at a time."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

from sqlalchemy import Insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.ids import new_id
from counterweight.contracts.jobs import Position, Progress
from counterweight.contracts.messages import (
    REFIT_SERIES,
    Cancelled,
    Checkpointed,
    EpochDone,
    Failed,
    LastWord,
    Left,
    Log,
    PhaseChanged,
    Resumed,
    Split,
    Succeeded,
)
from counterweight.crashpoints import crashpoint
from service.persistence import attempts, checkpoints, events, logs, queue
from service.persistence.tables import Artifact, Attempt, Dataset, FinalMetric, Job, JobEvaluation, MetricPoint, Model, Series

TrainerReport: TypeAlias = PhaseChanged | EpochDone | Log | Resumed | Checkpointed | LastWord
Heard: TypeAlias = Sequence[tuple[Job, Sequence[TrainerReport]]]


def record_jobs(
    session: Session, said: Mapping[queue.Claim, Sequence[TrainerReport]], cohort_size: int, now: datetime, checkpoint_folder: str = ""
) -> list[str]:
    """Write what a trainer of so many jobs said of each, in order and under its claim.

    Returns the jobs whose claim no longer stands: nothing is written of these.
    """
    jobs = queue.lock_jobs(session, said.keys())
    heard = [(jobs[claim.id], messages) for claim, messages in said.items() if claim.id in jobs]
    present = _attempts(session, jobs.values())
    _record_resumptions(session, heard, present)
    _record_epochs(session, heard, present)
    _record_checkpoints(session, heard, present, checkpoint_folder, now)
    for job, messages in heard:
        logs.record(session, job, present[job.id], [message for message in messages if isinstance(message, Log)], now)
        for message in messages:
            match message:
                case PhaseChanged():
                    _record_phase(session, job, present[job.id], message, now)
                case Succeeded():
                    _record_success(session, job, message, now)
                case Failed():
                    attempts.fail(session, job, message.failure_class, message.detail, message.hint, now)
                case Cancelled() | Left() if job.state == "cancelling":
                    attempts.cancelled(session, job, now)
                case Left() if job.state == "pausing":
                    attempts.paused(session, job, now)
                case Left():
                    attempts.requeue(session, job, "drained", "its worker was told to stop", now)
                case Split() if cohort_size > 1:
                    attempts.split(session, job, cohort_size, "split", message.detail, now)
                case Cancelled() | Split():
                    attempts.crash(session, job, cohort_size, "its trainer gave it up for no reason", now)
    return [claim.id for claim in said if claim.id not in jobs]


def record_dataset(session: Session, claim: queue.Claim, facts: TableFacts, table_path: str, table_sha256: str, now: datetime) -> None:
    """Publish what reading a file found; LostClaim when the claim no longer stands."""
    dataset = queue.lock(session, Dataset, claim)
    dataset.table_path, dataset.table_sha256 = table_path, table_sha256
    dataset.kind, dataset.format, dataset.image_size = facts.kind, facts.format, facts.image_size
    dataset.rows, dataset.columns = facts.rows, facts.columns
    dataset.target, dataset.positive_label, dataset.classes = facts.target, facts.positive_label, facts.classes
    dataset.part_classes, dataset.notes = facts.part_classes, facts.notes
    events.move_dataset(session, dataset, "ready", "read", now)


def _attempts(session: Session, jobs: Collection[Job]) -> dict[str, Attempt]:
    """Return the present attempt of each job."""
    rows = session.scalars(select(Attempt).where(Attempt.job_id.in_([job.id for job in jobs]), Attempt.ended_at.is_(None)))
    return {attempt.job_id: attempt for attempt in rows}


def _record_resumptions(session: Session, heard: Heard, present: Mapping[str, Attempt]) -> None:
    """Note where jobs go on, before all else that was said: what was recorded beyond is deleted, and said again."""
    for job, messages in heard:
        for message in messages:
            if isinstance(message, Resumed) and message.checkpoint_id != job.checkpoint_id:
                checkpoints.fall_back(session, job, message.checkpoint_id)
                present[job.id].began = checkpoints.position(checkpoints.newest_first(session, job))


def _record_checkpoints(session: Session, heard: Heard, present: Mapping[str, Attempt], folder: str, now: datetime) -> None:
    """Record each checkpoint once for all jobs that it is of."""
    # By the order in which they were said, which is that of each job: the last one is the one to go on from.
    made: dict[str, tuple[Checkpointed, list[Job]]] = {}
    for job, messages in heard:
        for message in messages:
            if isinstance(message, Checkpointed):
                made.setdefault(message.file.path, (message, []))[1].append(job)
    for message, jobs in sorted(made.values(), key=lambda one: (one[0].is_refit, one[0].step)):
        checkpoints.record(session, jobs, message, folder, now)
        for job in jobs:
            attempt = present[job.id]
            attempt.kept = Position(step=message.step, is_refit=message.is_refit)
            attempt.reached = max(attempt.reached or attempt.kept, attempt.kept, key=_in_order)


def _record_phase(session: Session, job: Job, attempt: Attempt, message: PhaseChanged, now: datetime) -> None:
    if job.phase != message.phase:
        events.enter_phase(session, job, message.phase, now)
    if message.resolved is not None:
        job.resolved, attempt.device = message.resolved, message.resolved.device
        attempt.micro_batch = message.resolved.micro_batch
    if message.loss is not None and message.loss != job.loss:
        job.loss = message.loss


def _in_order(position: Position) -> tuple[bool, int]:
    return position.is_refit, position.step


def _record_epochs(session: Session, heard: Heard, present: Mapping[str, Attempt]) -> None:
    told = [(job, [message for message in messages if isinstance(message, EpochDone)]) for job, messages in heard]
    learnt = [(job, epochs) for job, epochs in told if epochs]
    points = [
        {"job_id": job.id, "series": name, "step": epoch.step, "epoch": epoch.epoch, "time": epoch.time, "value": value}
        for job, epochs in learnt
        for epoch in epochs
        for name, value in epoch.values.items()
    ]
    if points:
        _upsert(session, MetricPoint, points)
    _record_series(session, learnt)
    for job, epochs in learnt:
        latest = epochs[-1]
        present[job.id].reached = Position(step=latest.step, is_refit=REFIT_SERIES in latest.values)
        job.progress = Progress(
            epoch=latest.epoch,
            epochs=latest.epochs,
            fraction=latest.epoch / latest.epochs,
            eta_s=latest.eta_s,
            rows_per_s=latest.rows_per_s,
        )


def _record_series(session: Session, learnt: Sequence[tuple[Job, Sequence[EpochDone]]]) -> None:
    known = session.scalars(select(Series).where(Series.job_id.in_([job.id for job, _ in learnt])))
    rows = {(series.job_id, series.name): series for series in known}
    for job, epochs in learnt:
        for epoch in epochs:
            for name, value in epoch.values.items():
                series = rows.get((job.id, name))
                if series is None:
                    series = Series(job_id=job.id, name=name, value=value, best=value, best_epoch=epoch.epoch, goal=goal_of(name))
                    rows[job.id, name] = series
                    session.add(series)
                series.value = value
                if value < series.best if series.goal == "min" else value > series.best:
                    series.best, series.best_epoch = value, epoch.epoch


def goal_of(series: str) -> Literal["min", "max"]:
    """Whether less or more of a metric is better."""
    return "min" if series.endswith(("loss", "brier", "ece")) else "max"


def _record_success(session: Session, job: Job, message: Succeeded, now: datetime) -> None:
    attempts.close(session, job, "succeeded", None, "its model was published", now)
    for split, part in message.evaluation.splits.items():
        for name, metric in part.metrics.items():
            session.add(FinalMetric(job_id=job.id, name=f"{split}/{name}", **metric.model_dump()))
    session.add(JobEvaluation(job_id=job.id, body=message.evaluation))
    for file in message.files:
        path = f"{job_folder(job.id)}/{job.fence}/{file.path}"
        session.add(Artifact(job_id=job.id, name=file.name, path=path, bytes=file.bytes, sha256=file.sha256))
    if job.progress is not None:
        job.progress = job.progress.model_copy(update={"eta_s": 0.0})
    job.model_id = new_id("mdl", now)
    session.add(Model(id=job.model_id, project_id=job.project_id, job_id=job.id, created_at=now))
    crashpoint("finish.before_event")
    events.move_job(session, job, "succeeded", "trained", now)


def job_folder(job_id: str) -> str:
    """Where a job's attempts write, each into a folder named by its fence: a later one never meets an earlier one's files."""
    return f"jobs/{job_id}"


def dataset_folder(dataset_id: str) -> str:
    return f"datasets/{dataset_id}"


def cache_folder(dataset_id: str) -> str:
    """Where what was prepared of a dataset for training lies, for all its jobs."""
    return f"cache/{dataset_id}"


def _upsert(session: Session, table: type[Any], rows: list[dict[str, Any]]) -> None:
    """Insert rows, or give rows that are there already their new values: writing twice is writing once."""
    dialect = session.get_bind().dialect.name
    statement: Any = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    keys = [column.name for column in table.__table__.primary_key]
    values = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    upsert: Insert = statement.on_conflict_do_update(index_elements=keys, set_=values)
    session.execute(upsert, rows)
