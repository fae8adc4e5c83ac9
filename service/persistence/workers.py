"""Workers as their users see them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from counterweight.contracts.workers import WorkerState, WorkerView
from service.persistence.line import WORKER_SILENT
from service.persistence.tables import Agent, Job


def page(session: Session, after: str | None, limit: int) -> list[Agent]:
    """Return up to `limit` workers not known to have stopped, the oldest first, of those started after the worker `after`."""
    query = select(Agent).where(Agent.stopped_at.is_(None)).order_by(Agent.id).limit(limit)
    return list(session.scalars(query if after is None else query.where(Agent.id > after)))


def views(session: Session, project_id: str, found: Sequence[Agent], now: datetime) -> list[WorkerView]:
    """Return workers as the service answers them, with the jobs of one project."""
    busy, jobs = _in_hand(session, project_id, [agent.id for agent in found])
    return [
        WorkerView(
            id=agent.id,
            state=_state(agent, busy[agent.id], now),
            host=agent.host,
            devices=agent.slots,
            busy=busy[agent.id],
            jobs=jobs[agent.id],
            started_at=agent.started_at,
            heartbeat_at=agent.beat_at,
            draining_since=agent.draining_at,
            blocked_by=agent.blocked_by,
        )
        for agent in found
    ]


def _in_hand(session: Session, project_id: str, agent_ids: Collection[str]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return, by agent, how many of its slots train, and the jobs of the project that it has."""
    trainer = func.coalesce(Job.cohort_id, Job.id)
    held = select(Job.agent_id, func.count(trainer.distinct())).where(Job.agent_id.in_(agent_ids)).group_by(Job.agent_id)
    busy = defaultdict(int, {str(agent_id): count for agent_id, count in session.execute(held)})
    own = select(Job.agent_id, Job.id).where(Job.agent_id.in_(agent_ids), Job.project_id == project_id).order_by(Job.id)
    jobs = defaultdict[str, list[str]](list)
    for agent_id, job_id in session.execute(own):
        jobs[str(agent_id)].append(job_id)
    return busy, jobs


def _state(agent: Agent, busy: int, now: datetime) -> WorkerState:
    if agent.beat_at <= now - WORKER_SILENT:
        return "silent"
    if agent.draining_at is None:
        return "ready" if agent.blocked_by is None else "blocked"
    return "draining" if busy else "drained"
