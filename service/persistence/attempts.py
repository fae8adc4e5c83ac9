"""How an attempt at a job ends: with the job's end, or with the job back in the queue."""

from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import FailureClass
from counterweight.contracts.problems import JobProblem, problem_type
from service.persistence import events, logs
from service.persistence.tables import Attempt, Job


def fail(session: Session, job: Job, failure_class: FailureClass, detail: str, hint: str | None, now: datetime) -> None:
    """End a job that cannot succeed."""
    logs.say(session, job, "error", detail if hint is None else f"{detail}; {hint}", now)
    close(session, job, "failed", detail, now)
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
    """The process of a cohort of so many jobs died while its agent lived: try again, up to `max_attempts` if the job was alone in it."""
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
        requeue(session, job, "crashed", detail, now)


def split(session: Session, job: Job, cohort_size: int, outcome: str, detail: str, now: datetime) -> None:
    """A cohort of so many jobs came to grief: train each again among at most half as many, without holding it against the job."""
    if job.state == "cancelling":
        cancelled(session, job, now)
        return
    job.cohort_limit = max(1, cohort_size // 2)
    requeue(session, job, outcome, f"{detail}; it was one of {cohort_size} jobs trained together", now)


def cancelled(session: Session, job: Job, now: datetime) -> None:
    logs.say(session, job, "info", "cancelled by its owner", now)
    close(session, job, "cancelled", None, now)
    events.move_job(session, job, "cancelled", "cancelled by its owner", now)


def requeue(session: Session, job: Job, outcome: str, detail: str | None, now: datetime) -> None:
    """Put a held job back in its place in the queue."""
    logs.say(session, job, "warning", f"the attempt ended ({outcome if detail is None else detail}); back in the queue", now)
    close(session, job, outcome, detail, now)
    job.fence += 1
    events.move_job(session, job, "queued", outcome if detail is None else f"{outcome}: {detail}", now)


def close(session: Session, job: Job, outcome: str, detail: str | None, now: datetime) -> None:
    """Close the account of the job's present attempt."""
    statement = update(Attempt).where(Attempt.job_id == job.id, Attempt.fence == job.fence, Attempt.ended_at.is_(None))
    session.execute(statement.values(ended_at=now, outcome=outcome, detail=detail))
