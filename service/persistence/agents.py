"""The agents: they beat to show that they live, and what one of them holds goes back to the queue when it is gone.

An agent claims work under a new fence; giving it back moves the fence too, so that whatever a lost agent still sends is refused.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.domain.errors import NotFound
from service.persistence import attempts, queue
from service.persistence.tables import Agent, Dataset, Job, Study


def register(session: Session, agent: Agent) -> None:
    session.add(agent)


def beat(session: Session, agent_id: str, now: datetime) -> bool:
    """Show that the agent lives; False when others have already declared it lost."""
    statement = update(Agent).where(Agent.id == agent_id, Agent.stopped_at.is_(None)).values(beat=Agent.beat + 1, beat_at=now)
    return session.execute(statement.returning(Agent.id)).first() is not None


def block(session: Session, agent_id: str, blocked_by: str | None) -> None:
    """Tell what keeps the agent from starting trainers; None where nothing does any more."""
    session.execute(update(Agent).where(Agent.id == agent_id).values(blocked_by=blocked_by))


def beats(session: Session) -> dict[str, int]:
    """The beat of every agent not yet known to have stopped."""
    return {agent_id: count for agent_id, count in session.execute(select(Agent.id, Agent.beat).where(Agent.stopped_at.is_(None)))}


def last_beat(session: Session, home_id: str) -> datetime | None:
    """When an agent of this home, not known to have stopped, last beat; None without any."""
    return session.scalar(select(func.max(Agent.beat_at)).where(Agent.home_id == home_id, Agent.stopped_at.is_(None)))


def of_home(session: Session, home_id: str) -> list[str]:
    """Agents that ran on this home and were never seen to stop. Whoever holds the home's lock knows that they are dead."""
    return list(session.scalars(select(Agent.id).where(Agent.home_id == home_id, Agent.stopped_at.is_(None))))


def drain(session: Session, agent_id: str, now: datetime) -> Agent:
    """Let the agent take no more work and finish what it has; NotFound when there is none that lives. Draining again changes nothing."""
    agent = session.scalar(select(Agent).where(Agent.id == agent_id, Agent.stopped_at.is_(None)).with_for_update())
    if agent is None:
        raise NotFound(f"there is no worker {agent_id!r}; `GET /workers` lists those that live")
    agent.draining_at = agent.draining_at or now
    return agent


def retire(session: Session, agent_id: str, outcome: str, now: datetime, why: str | None = None) -> list[str]:
    """Mark an agent as stopped and give back all it held; return what that was. `outcome` is `lost` or `drained`."""
    statement = update(Agent).where(Agent.id == agent_id, Agent.stopped_at.is_(None)).values(stopped_at=now)
    if session.execute(statement.returning(Agent.id)).first() is None:
        return []
    jobs = session.scalars(select(Job).where(Job.agent_id == agent_id).order_by(Job.id).with_for_update()).all()
    for job in jobs:
        _give_back(session, job, outcome, why, now)
    return [*(job.id for job in jobs), *_release(session, agent_id, ())]


def _release(session: Session, agent_id: str, known: Collection[str]) -> list[str]:
    """Give back the files and studies that the agent holds, but for those it knows of; return what that was."""
    datasets = session.scalars(select(Dataset).where(Dataset.agent_id == agent_id).order_by(Dataset.id).with_for_update())
    studies = session.scalars(select(Study).where(Study.agent_id == agent_id).order_by(Study.id).with_for_update())
    released = [work for work in (*datasets, *studies) if work.id not in known]
    for work in released:
        queue.release(session, work)
    return [work.id for work in released]


def _give_back(session: Session, job: Job, outcome: str, why: str | None, now: datetime) -> None:
    if outcome == "lost":
        attempts.lose(session, job, why, now)
    elif job.state == "cancelling":
        attempts.cancelled(session, job, now)
    else:
        attempts.requeue(session, job, outcome, why, now)


def give_back_strays(session: Session, agent_id: str, known: Collection[str], now: datetime) -> list[str]:
    """Give back what the agent holds in the record but does not know of; return what that was.

    It comes from a connection that broke after the database had committed a claim and before it could say so.
    """
    held_jobs = session.scalars(select(Job).where(Job.agent_id == agent_id).order_by(Job.id).with_for_update())
    jobs = [job for job in held_jobs if job.id not in known]
    for job in jobs:
        _give_back(session, job, "lost", "its claim was not heard of: the connection to the database broke", now)
    return [*(job.id for job in jobs), *_release(session, agent_id, known)]


def held(session: Session, agent_id: str) -> set[str]:
    """Ids of all the agent holds in the record."""
    return {
        *session.scalars(select(Job.id).where(Job.agent_id == agent_id)),
        *session.scalars(select(Dataset.id).where(Dataset.agent_id == agent_id)),
        *session.scalars(select(Study.id).where(Study.agent_id == agent_id)),
    }
