"""How an attempt at a job ends: with the job's end, or with the job back in the queue."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import FailureClass, LogLevel
from counterweight.contracts.problems import JobProblem, problem_type
from service.domain.admission import back_off
from service.persistence import events, logs
from service.persistence.tables import IS_QUEUED, Attempt, Job

AT_ONCE = timedelta()

MAX_LOST_WORKERS = 20
"""So many attempts may end because their worker was lost; more, and it is the job that kills its workers."""

LOST_WORKERS_IN_COMPANY = MAX_LOST_WORKERS // 2
"""After so many a job trains alone: when one of a cohort kills its workers, the others must not end with it."""


def fail(session: Session, job: Job, failure_class: FailureClass, detail: str, hint: str | None, now: datetime) -> None:
    """End a job that cannot succeed."""
    logs.say(session, job, "error", detail if hint is None else f"{detail}; {hint}", now)
    close(session, job, "failed", detail, f"ended the job: {failure_class}", now)
    job.error = JobProblem(
        type=problem_type(failure_class),
        title="The job failed",
        status=422 if failure_class in ("data", "diverged") else 500,
        code=failure_class,
        detail=detail,
        failure_class=failure_class,
        hint=hint,
    )
    events.move_job(session, job, "failed", failure_class, now)


def crash(session: Session, job: Job, cohort_size: int, detail: str, now: datetime) -> None:
    """The process of a cohort of so many jobs died while its agent lived: try again, up to `max_attempts` if the job was alone in it.

    Each time it waits longer before it is tried again, so that one that always dies leaves the slots to others.
    """
    if cohort_size > 1 and job.checkpoint_fence == job.fence:
        # They got further: what it died of is not known to come again at once.
        requeue(session, job, "crashed", detail, now)
        return
    if cohort_size > 1:
        split(session, job, cohort_size, "crashed", detail, now)
        return
    job.crashes, job.cohort_limit = job.crashes + 1, 1
    if job.state == "cancelling":
        cancelled(session, job, now)
    elif job.crashes >= job.spec.limits.max_attempts:
        hint = "the worker's log has the traceback; a smaller batch_size or width needs less memory"
        fail(session, job, "internal", f"{detail}; that was attempt {job.crashes} of {job.spec.limits.max_attempts}", hint, now)
    else:
        requeue(session, job, "crashed", detail, now, wait=back_off(job.crashes))


def split(session: Session, job: Job, cohort_size: int, outcome: str, detail: str, now: datetime) -> None:
    """A cohort of so many jobs came to grief: train each again among at most half as many, without holding it against the job."""
    if job.state == "cancelling":
        cancelled(session, job, now)
        return
    job.cohort_limit = max(1, cohort_size // 2)
    requeue(session, job, outcome, f"{detail}; it was one of {cohort_size} jobs trained together", now)


def lose(session: Session, job: Job, why: str | None, now: datetime) -> None:
    """What a job ran on was lost: try again, up to `MAX_LOST_WORKERS` times in a row without a checkpoint."""
    if job.state == "cancelling":
        cancelled(session, job, now)
        return
    job.lost_workers += 1
    if job.lost_workers >= MAX_LOST_WORKERS:
        fail(session, job, "lost_worker", f"{MAX_LOST_WORKERS} workers were lost while they ran this job", None, now)
        return
    if job.lost_workers >= LOST_WORKERS_IN_COMPANY:
        job.cohort_limit = 1
    # The first loss says nothing about the job. One that loses worker after worker takes others' work with it each time.
    requeue(session, job, "lost", why, now, wait=back_off(job.lost_workers - 1))


def overdue(session: Session, job: Job, now: datetime) -> None:
    """A job has run for as long as its limits allow; one that is being cancelled is cancelled by that."""
    if job.state == "cancelling":
        cancelled(session, job, now)
        return
    limit, hint = job.spec.limits.max_runtime_s, "raise limits.max_runtime_s, or train fewer epochs"
    fail(session, job, "timeout", f"it ran for its max_runtime_s of {limit:g} s, all attempts together", hint, now)


def end_overdue_waits(session: Session, now: datetime) -> list[str]:
    """End the jobs that have waited in the queue for as long as their limits allow; return their ids."""
    waited = select(Job).where(IS_QUEUED, Job.pending_until <= now).order_by(Job.id)
    jobs = session.scalars(waited.with_for_update(skip_locked=True)).all()
    for job in jobs:
        detail = f"no worker took it up within its max_pending_s of {job.spec.limits.max_pending_s:g} s"
        fail(session, job, "pending_timeout", detail, "raise limits.max_pending_s, or start more workers", now)
    return [job.id for job in jobs]


def stopped(session: Session, job: Job, now: datetime) -> None:
    """A job was not stopped in time, for good or for now: it is given up, or goes on later from the checkpoint that it has."""
    if job.state == "pausing":
        paused(session, job, now)
    else:
        cancelled(session, job, now)


def cancelled(session: Session, job: Job, now: datetime) -> None:
    logs.say(session, job, "info", "cancelled by its owner", now)
    close(session, job, "cancelled", None, "ended as its owner asked", now)
    events.move_job(session, job, "cancelled", "cancelled by its owner", now)


def paused(session: Session, job: Job, now: datetime) -> None:
    """End an attempt as its owner asked, to be taken up again when they ask for that."""
    requeue(session, job, "paused", None, now)


def requeue(session: Session, job: Job, outcome: str, detail: str | None, now: datetime, wait: timedelta = AT_ONCE) -> None:
    """Put a held job back in its place in the queue, to be claimed again after `wait`; one that is to be paused is paused by that."""
    is_pausing = job.state == "pausing"
    action = "kept until it is resumed" if is_pausing else _in_words(job.cohort_limit, wait)
    level: LogLevel = "info" if outcome == "paused" else "warning"
    logs.say(session, job, level, f"the attempt ended ({outcome if detail is None else detail}); {action}", now)
    close(session, job, outcome, detail, action, now)
    job.fence += 1
    job.not_before = now + wait if wait and not is_pausing else None
    reason = outcome if detail is None else f"{outcome}: {detail}"
    events.move_job(session, job, "paused" if is_pausing else "queued", "paused by its owner" if outcome == "paused" else reason, now)


def close(session: Session, job: Job, outcome: str, detail: str | None, action: str, now: datetime) -> None:
    """Close the account of the job's present attempt: how it ended, why, and what was done about it."""
    statement = update(Attempt).where(Attempt.job_id == job.id, Attempt.fence == job.fence, Attempt.ended_at.is_(None))
    session.execute(statement.values(ended_at=now, outcome=outcome, detail=detail, action=action))


def _in_words(cohort_limit: int | None, wait: timedelta) -> str:
    company = {None: "", 1: ", to be trained alone"}.get(cohort_limit, f", to be trained among at most {cohort_limit}")
    return f"back in the queue{f' after {wait.total_seconds():g} s' if wait else ''}{company}"
