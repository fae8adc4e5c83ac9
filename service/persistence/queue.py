"""The queue: the job table itself, and the dataset table for files waiting to be read.

An agent claims work under a new fence and may write to it while that fence stands. Every change of holder moves the fence,
so whatever a lost holder still sends is refused.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, selectinload

from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.jobs import FailureClass
from counterweight.contracts.problems import JobProblem, Problem, problem_type
from service.domain.errors import LostClaim
from service.persistence import events, logs
from service.persistence.tables import Agent, Attempt, Dataset, Job, MetricPoint, Series

MAX_LOST_AGENTS = 20
"""So many attempts may end because their worker was lost; more, and it is the job that kills its workers."""

MAX_INGEST_CRASHES = 3

Work = TypeVar("Work", Job, Dataset)


@dataclass(frozen=True)
class Claim:
    """The right of one agent to write to one job or dataset, as long as its fence stands."""

    id: str
    agent_id: str
    fence: int


def register_agent(session: Session, agent: Agent) -> None:
    session.add(agent)


def beat(session: Session, agent_id: str, now: datetime) -> bool:
    """Show that the agent lives; False when others have already declared it lost."""
    statement = update(Agent).where(Agent.id == agent_id, Agent.stopped_at.is_(None)).values(beat=Agent.beat + 1, beat_at=now)
    return session.execute(statement.returning(Agent.id)).first() is not None


def beats(session: Session) -> dict[str, int]:
    """The beat of every agent not yet known to have stopped."""
    return {agent_id: count for agent_id, count in session.execute(select(Agent.id, Agent.beat).where(Agent.stopped_at.is_(None)))}


def last_beat(session: Session, home_id: str) -> datetime | None:
    """When an agent of this home, not known to have stopped, last beat; None without any."""
    return session.scalar(select(func.max(Agent.beat_at)).where(Agent.home_id == home_id, Agent.stopped_at.is_(None)))


def agents_of_home(session: Session, home_id: str) -> list[str]:
    """Agents that ran on this home and were never seen to stop. Whoever holds the home's lock knows that they are dead."""
    return list(session.scalars(select(Agent.id).where(Agent.home_id == home_id, Agent.stopped_at.is_(None))))


def claim_job(session: Session, agent_id: str, devices: Sequence[str], now: datetime) -> tuple[Claim, Job, Dataset] | None:
    """Hand the best queued job that fits `devices` to the agent under a new fence, to be trained from the start.

    LostClaim when the agent has been declared lost: nobody would give back what it claims.
    """
    _hold_alive(session, agent_id)
    job = session.scalar(
        select(Job)
        .where(Job.state == "queued", Job.device.in_(devices))
        # Ids sort by the time of submission: a job that comes back keeps its place.
        .order_by(Job.priority.desc(), Job.id)
        .limit(1)
        .options(selectinload(Job.test_dataset))
        # Agents asking at the same moment pass over each other's row instead of waiting.
        .with_for_update(skip_locked=True)
    )
    if job is None:
        return None
    job.agent_id, job.fence = agent_id, job.fence + 1
    events.move_job(session, job, "running", f"claimed by {agent_id}", now)
    job.progress = None
    session.execute(delete(MetricPoint).where(MetricPoint.job_id == job.id))
    session.execute(delete(Series).where(Series.job_id == job.id))
    number = session.scalar(select(func.count()).where(Attempt.job_id == job.id)) or 0
    session.add(Attempt(job_id=job.id, number=number + 1, fence=job.fence, agent_id=agent_id, started_at=now))
    dataset = session.get_one(Dataset, job.dataset_id)
    return Claim(job.id, agent_id, job.fence), job, dataset


def claim_dataset(session: Session, agent_id: str) -> tuple[Claim, str, DatasetOptions] | None:
    """Hand the oldest unread file to the agent under a new fence: the claim, the file's path and how to read it.

    LostClaim when the agent has been declared lost.
    """
    _hold_alive(session, agent_id)
    dataset = session.scalar(
        select(Dataset)
        .where(Dataset.state == "processing", Dataset.agent_id.is_(None))
        .order_by(Dataset.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if dataset is None:
        return None
    dataset.agent_id, dataset.fence = agent_id, dataset.fence + 1
    return Claim(dataset.id, agent_id, dataset.fence), dataset.source_path, dataset.options


def lock(session: Session, table: type[Work], claim: Claim) -> Work:
    """Return the claimed row, locked until the transaction ends; LostClaim when the claim no longer stands."""
    held = (table.id == claim.id) & (table.agent_id == claim.agent_id) & (table.fence == claim.fence)
    row = session.scalar(select(table).where(held).with_for_update())
    if row is None:
        raise LostClaim(f"{claim.id} is no longer held by {claim.agent_id} under fence {claim.fence}")
    return row


def cancelling(session: Session, agent_id: str) -> list[str]:
    """The agent's jobs that were told to stop."""
    return list(session.scalars(select(Job.id).where(Job.agent_id == agent_id, Job.state == "cancelling")))


def give_back_strays(session: Session, agent_id: str, known: Collection[str], now: datetime) -> list[str]:
    """Give back what the agent holds in the record but does not know of; return what that was.

    It comes from a connection that broke after the database had committed a claim and before it could say so.
    """
    jobs = [job for job in session.scalars(select(Job).where(Job.agent_id == agent_id).with_for_update()) if job.id not in known]
    for job in jobs:
        _give_back(session, job, "lost", now)
    rows = session.scalars(select(Dataset).where(Dataset.agent_id == agent_id).with_for_update())
    datasets = [dataset for dataset in rows if dataset.id not in known]
    for dataset in datasets:
        release_dataset(session, dataset)
    return [*(job.id for job in jobs), *(dataset.id for dataset in datasets)]


def held(session: Session, agent_id: str) -> set[str]:
    """Ids of all the agent holds in the record."""
    return {
        *session.scalars(select(Job.id).where(Job.agent_id == agent_id)),
        *session.scalars(select(Dataset.id).where(Dataset.agent_id == agent_id)),
    }


def _hold_alive(session: Session, agent_id: str) -> None:
    """Make sure that nobody declares the agent lost before this transaction ends."""
    alive = select(Agent.id).where(Agent.id == agent_id, Agent.stopped_at.is_(None)).with_for_update(read=True)
    if session.scalar(alive) is None:
        raise LostClaim(f"agent {agent_id} was declared lost")


def end_attempt(session: Session, job: Job, outcome: str, detail: str | None, now: datetime) -> None:
    """Close the account of the job's present attempt."""
    statement = update(Attempt).where(Attempt.job_id == job.id, Attempt.fence == job.fence, Attempt.ended_at.is_(None))
    session.execute(statement.values(ended_at=now, outcome=outcome, detail=detail))


def fail(session: Session, job: Job, failure_class: FailureClass, detail: str, hint: str | None, now: datetime) -> None:
    """End a job that cannot succeed."""
    logs.say(session, job, "error", detail if hint is None else f"{detail}; {hint}", now)
    end_attempt(session, job, "failed", detail, now)
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


def crash(session: Session, job: Job, detail: str, now: datetime) -> None:
    """An attempt's process died while its agent lived: try again, up to the job's `max_attempts`."""
    job.crashes += 1
    if job.state == "cancelling":
        cancelled(session, job, now)
    elif job.crashes >= job.spec.limits.max_attempts:
        hint = "the worker's log has the traceback; a smaller batch_size or width needs less memory"
        fail(session, job, "internal", f"{detail}; that was attempt {job.crashes} of {job.spec.limits.max_attempts}", hint, now)
    else:
        requeue(session, job, "crashed", detail, now)


def cancelled(session: Session, job: Job, now: datetime) -> None:
    logs.say(session, job, "info", "cancelled by its owner", now)
    end_attempt(session, job, "cancelled", None, now)
    events.move_job(session, job, "cancelled", "cancelled by its owner", now)


def requeue(session: Session, job: Job, outcome: str, detail: str | None, now: datetime) -> None:
    """Put a held job back in its place in the queue."""
    logs.say(session, job, "warning", f"the attempt ended ({outcome if detail is None else detail}); back in the queue", now)
    end_attempt(session, job, outcome, detail, now)
    job.fence += 1
    events.move_job(session, job, "queued", outcome if detail is None else f"{outcome}: {detail}", now)


def retire_agent(session: Session, agent_id: str, outcome: str, now: datetime) -> list[str]:
    """Mark an agent as stopped and give back all it held; return what that was. `outcome` is `lost` or `drained`."""
    statement = update(Agent).where(Agent.id == agent_id, Agent.stopped_at.is_(None)).values(stopped_at=now)
    if session.execute(statement.returning(Agent.id)).first() is None:
        return []
    jobs = session.scalars(select(Job).where(Job.agent_id == agent_id).order_by(Job.id).with_for_update()).all()
    for job in jobs:
        _give_back(session, job, outcome, now)
    datasets = session.scalars(select(Dataset).where(Dataset.agent_id == agent_id).order_by(Dataset.id).with_for_update()).all()
    for dataset in datasets:
        release_dataset(session, dataset)
    return [*(job.id for job in jobs), *(dataset.id for dataset in datasets)]


def _give_back(session: Session, job: Job, outcome: str, now: datetime) -> None:
    if job.state == "cancelling":
        cancelled(session, job, now)
        return
    lost = session.scalar(select(func.count()).where(Attempt.job_id == job.id, Attempt.outcome == "lost")) or 0
    if outcome == "lost" and lost + 1 >= MAX_LOST_AGENTS:
        fail(session, job, "lost_worker", f"{MAX_LOST_AGENTS} workers were lost while they ran this job", None, now)
    else:
        requeue(session, job, outcome, None, now)


def release_dataset(session: Session, dataset: Dataset) -> None:
    """Let another agent read the file."""
    dataset.agent_id, dataset.fence = None, dataset.fence + 1
    events.announce(session, dataset.id)


def crash_dataset(session: Session, dataset: Dataset, detail: str, now: datetime) -> None:
    """The process reading the file died: try again, a few times."""
    dataset.crashes += 1
    if dataset.crashes < MAX_INGEST_CRASHES:
        release_dataset(session, dataset)
        return
    refuse_dataset(session, dataset, "ingest_crashed", f"reading the file ended {dataset.crashes} times: {detail}", now)


def refuse_dataset(session: Session, dataset: Dataset, code: str, detail: str, now: datetime) -> None:
    """End a dataset whose file cannot be read, saying why."""
    dataset.error = Problem(type=problem_type(code), title="The file cannot be read", status=422, code=code, detail=detail)
    events.move_dataset(session, dataset, "failed", code, now)
