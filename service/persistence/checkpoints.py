"""Checkpoints in the record: which jobs go on from which files, and which files nobody goes on from any more."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.orm import Session

from counterweight.contracts.ids import new_id
from counterweight.contracts.jobs import Position
from counterweight.contracts.messages import REFIT_SERIES, Checkpointed
from service.persistence.tables import Checkpoint, Job, MetricPoint, Series

FOLDER = "checkpoints"


def folder(job_id: str, fence: int) -> str:
    """Where a cohort's attempt writes its checkpoints, named by one of its jobs under the fence of the attempt."""
    return f"{FOLDER}/{job_id}.{fence}"


def record(session: Session, jobs: Sequence[Job], message: Checkpointed, where: str, now: datetime) -> None:
    """Let these jobs go on from a new checkpoint; the one that was the latest is kept for when it is torn."""
    made = Checkpoint(
        id=new_id("ckp", now),
        path=f"{where}/{message.file.path}",
        bytes=message.file.bytes,
        sha256=message.file.sha256,
        step=message.step,
        is_refit=message.is_refit,
        created_at=now,
    )
    session.add(made)
    for job in jobs:
        job.fallback_id, job.checkpoint_id, job.checkpoint_fence = job.checkpoint_id, made.id, job.fence
        # It was not the job that its workers were lost of: it got further.
        job.lost_workers = 0


def position(kept: Sequence[Checkpoint]) -> Position:
    """Return where a job that goes on from the first of these begins."""
    return Position(step=kept[0].step, is_refit=kept[0].is_refit) if kept else Position(step=0)


def newest_first(session: Session, job: Job) -> list[Checkpoint]:
    """Return the checkpoints that a job can go on from."""
    ids = [checkpoint_id for checkpoint_id in (job.checkpoint_id, job.fallback_id) if checkpoint_id is not None]
    if not ids:
        return []
    found = {row.id: row for row in session.scalars(select(Checkpoint).where(Checkpoint.id.in_(ids)))}
    return [found[checkpoint_id] for checkpoint_id in ids if checkpoint_id in found]


def fall_back(session: Session, job: Job, checkpoint_id: str | None) -> None:
    """Note that a job does not go on from its latest checkpoint, but from another one; None where none is of use."""
    job.checkpoint_id, job.fallback_id = checkpoint_id, None
    if checkpoint_id is None:
        job.checkpoint_fence = None
    forget_what_follows(session, [job])


def forget_what_follows(session: Session, jobs: Sequence[Job]) -> None:
    """Delete the metrics of what is going to be trained again: all after a job's checkpoint, or all where it has none."""
    anew = [job.id for job in jobs if job.checkpoint_id is None]
    session.execute(delete(MetricPoint).where(MetricPoint.job_id.in_(anew)))
    session.execute(delete(Series).where(Series.job_id.in_(anew)))
    for checkpoint_id in sorted({job.checkpoint_id for job in jobs if job.checkpoint_id is not None}):
        ids = [job.id for job in jobs if job.checkpoint_id == checkpoint_id]
        after = _after(session.get_one(Checkpoint, checkpoint_id))
        session.execute(delete(MetricPoint).where(MetricPoint.job_id.in_(ids), after))
        _sum_up(session, ids)


def sweep(session: Session) -> list[str]:
    """Delete the checkpoints that no job goes on from; return the paths of their files, which may go then."""
    is_used = select(Job.id).where(or_(Job.checkpoint_id == Checkpoint.id, Job.fallback_id == Checkpoint.id))
    return list(session.scalars(delete(Checkpoint).where(~is_used.exists()).returning(Checkpoint.path)))


def _after(checkpoint: Checkpoint) -> ColumnElement[bool]:
    is_refit, is_later = MetricPoint.series == REFIT_SERIES, MetricPoint.step > checkpoint.step
    return and_(is_refit, is_later) if checkpoint.is_refit else or_(is_refit, is_later)


def _sum_up(session: Session, job_ids: Sequence[str]) -> None:
    """Let the latest and the best value of each series be those of the points that there are."""
    each = (MetricPoint.job_id, MetricPoint.series)
    ranked = (
        select(
            *(MetricPoint.job_id, MetricPoint.series, MetricPoint.epoch, MetricPoint.value),
            func.row_number().over(order_by=MetricPoint.step.desc(), partition_by=each).label("latest"),
            func.row_number().over(order_by=(MetricPoint.value, MetricPoint.step), partition_by=each).label("least"),
            func.row_number().over(order_by=(MetricPoint.value.desc(), MetricPoint.step), partition_by=each).label("most"),
        )
        .where(MetricPoint.job_id.in_(job_ids))
        .subquery()
    )
    ends = select(ranked).where(or_(ranked.c.latest == 1, ranked.c.least == 1, ranked.c.most == 1))
    found = session.execute(ends).all()
    known = {(series.job_id, series.name): series for series in session.scalars(select(Series).where(Series.job_id.in_(job_ids)))}
    for point in found:
        series = known.pop((point.job_id, point.series), None) or session.get_one(Series, (point.job_id, point.series))
        if point.latest == 1:
            series.value = point.value
        if (point.least if series.goal == "min" else point.most) == 1:
            series.best, series.best_epoch = point.value, point.epoch
    for series in known.values():
        session.delete(series)
