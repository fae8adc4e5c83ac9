"""What the record knows of who goes next: what projects have in hand, and what keeps jobs waiting."""

from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Integer, Select, bindparam, cast, func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.queue import ProjectLimits
from service.domain import admission
from service.domain.admission import Load
from service.domain.errors import LostClaim
from service.persistence.tables import IS_HELD, IS_QUEUED, Agent, Job, Project


def place_in_line(spec: ResolvedSpec, created_at: datetime) -> dict[str, object]:
    """Return the columns that say where a job goes, and when."""
    return {
        "device": admission.device_of(spec.resources),
        "gpus": spec.resources.gpus,
        "min_gpu_memory_gb": spec.resources.min_gpu_memory_gb,
        "priority": spec.priority,
        "seed": spec.training.seed,
        "turn": admission.turn(created_at, spec.priority),
        "pending_until": admission.pending_until(spec.limits, created_at),
    }


def may_start(now: datetime) -> ColumnElement[bool]:
    """Return which jobs need wait no longer. None waits past the longest time: of one that seems to, the clock was put back meanwhile."""
    return _waits_not(**on_time(now))


def on_time(now: datetime) -> dict[str, datetime]:
    """Return the parameters of `MAY_START`."""
    return {"now": now, "latest": now + admission.LONGEST_BACK_OFF}


def _waits_not(now: datetime | BindParameter[datetime], latest: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    return Job.not_before.is_(None) | (Job.not_before <= now) | (Job.not_before > latest)


MAY_START = _waits_not(bindparam("now"), bindparam("latest"))
"""`may_start` for statements that are made once."""


def next_retry(session: Session, now: datetime) -> datetime | None:
    """Return when the first of the jobs that wait before they are tried again may start; None where none waits for that."""
    waits = IS_QUEUED & (Job.not_before > now) & (Job.not_before <= now + admission.LONGEST_BACK_OFF)
    return session.scalar(select(func.min(Job.not_before)).where(waits))


def loads(session: Session) -> list[Load]:
    """Return what each project has in hand, and whether something of it waits."""
    return [Load(*found) for found in session.execute(_LOADS)]


def loads_for(session: Session, agent_id: str) -> list[Load] | None:
    """Return the loads, and make sure that nobody declares the agent lost, or drains it, before this transaction ends.

    None where it takes no work any more; LostClaim when it has been declared lost.
    """
    found = session.execute(_LOADS_FOR, {"agent_id": agent_id}).all()
    if not found:
        raise LostClaim(f"agent {agent_id} was declared lost")
    return [Load(*load) for *load, draining_at in found if draining_at is None] or None


def hold_to_limits(session: Session, load: Load) -> Load:
    """Return what a project has in hand now, so that nobody else can add to it before this transaction ends; as it is without limits."""
    if load.max_running_jobs is None and load.max_running_gpus is None:
        return load
    # Not `FOR UPDATE`, which would hold up everyone who submits a job of the project.
    session.execute(select(Project.id).where(Project.id == load.project_id).with_for_update(key_share=True)).one()
    return Load(*session.execute(_LOADS.where(Project.id == load.project_id)).one())


def limits(load: Load) -> ProjectLimits:
    """Return a project's limits beside what it has in hand."""
    return ProjectLimits(
        max_running_jobs=load.max_running_jobs,
        max_running_gpus=load.max_running_gpus,
        running_jobs=load.running,
        running_gpus=load.gpus,
    )


def _loads() -> Select[Any]:
    """Return the statement of all loads, its columns in the order of their fields."""
    trainers = (
        select(Job.project_id, func.count().label("jobs"), func.max(Job.gpus).label("slots"), func.max(Job.gpus_held).label("gpus"))
        .where(IS_HELD)
        .group_by(Job.project_id, func.coalesce(Job.cohort_id, Job.id))
        .subquery()
    )
    sums = (func.sum(trainers.c.jobs), func.sum(trainers.c.slots), func.sum(trainers.c.gpus))
    held = select(trainers.c.project_id, *(cast(value, Integer).label(f"held_{place}") for place, value in enumerate(sums)))
    held_by = held.group_by(trainers.c.project_id).subquery()
    # Scalars, each a single step into an index: as a join, all that waits would be read.
    first = select(Job.turn).where(Job.project_id == Project.id, IS_QUEUED).order_by(Job.turn, Job.id).limit(1).scalar_subquery()
    last = select(func.max(Job.started_at)).where(Job.project_id == Project.id, Job.started_at.is_not(None)).scalar_subquery()
    in_hand = [func.coalesce(column, 0) for column in held_by.c[1:]]
    columns = (Project.id, *in_hand, Project.max_running_jobs, Project.max_running_gpus, last, first)
    return select(*columns).outerjoin(held_by, held_by.c.project_id == Project.id)


_LOADS = _loads()
_LIVING = (Agent.id == bindparam("agent_id")) & Agent.stopped_at.is_(None)
_LOADS_FOR = _LOADS.add_columns(Agent.draining_at).join(Agent, _LIVING).with_for_update(read=True, of=Agent)
