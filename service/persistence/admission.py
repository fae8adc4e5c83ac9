"""What the record knows of who goes next: what projects have in hand, and what keeps jobs waiting."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.queue import ProjectLimits
from service.domain import admission
from service.domain.admission import Load
from service.persistence.tables import IS_QUEUED, Job, Project


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
    return Job.not_before.is_(None) | (Job.not_before <= now) | (Job.not_before > now + admission.LONGEST_BACK_OFF)


def loads(session: Session) -> list[Load]:
    """Return what each project has in hand, and whether something of it waits."""
    # Scalars, each a single step into an index: as a join, all that waits would be read.
    queued = (Job.project_id == Project.id) & IS_QUEUED
    first = select(Job.turn).where(queued).order_by(Job.turn, Job.id).limit(1).scalar_subquery()
    last = select(func.max(Job.started_at)).where(Job.project_id == Project.id).scalar_subquery()
    held = _held(session, Job.agent_id.is_not(None))
    return [
        _load(project, held[project.id], last_start, turn) for project, last_start, turn in session.execute(select(Project, last, first))
    ]


def hold_to_limits(session: Session, load: Load) -> Load:
    """Return what a project has in hand now, so that nobody else can add to it before this transaction ends; as it is without limits."""
    if load.max_running_jobs is None and load.max_running_gpus is None:
        return load
    # Not `FOR UPDATE`, which would hold up everyone who submits a job of the project.
    locked = select(Project).where(Project.id == load.project_id).with_for_update(key_share=True)
    project = session.scalars(locked.execution_options(populate_existing=True)).one()
    held = _held(session, Job.agent_id.is_not(None) & (Job.project_id == project.id))
    return _load(project, held[project.id], load.last_start, load.first_turn)


def limits(load: Load) -> ProjectLimits:
    """Return a project's limits beside what it has in hand."""
    return ProjectLimits(
        max_running_jobs=load.max_running_jobs,
        max_running_gpus=load.max_running_gpus,
        running_jobs=load.running,
        running_gpus=load.gpus,
    )


def _held(session: Session, which: ColumnElement[bool]) -> dict[str, list[tuple[int, int, int]]]:
    """Return, by project, the jobs, the GPUs and the slots of each trainer."""
    trainer = func.coalesce(Job.cohort_id, Job.id)
    found = select(Job.project_id, func.count(), func.max(Job.gpus_held), func.max(Job.gpus)).where(which).group_by(Job.project_id, trainer)
    trainers = defaultdict[str, list[tuple[int, int, int]]](list)
    for project_id, jobs, gpus, slots in session.execute(found):
        trainers[project_id].append((jobs, gpus, slots))
    return trainers


def _load(project: Project, trainers: Iterable[tuple[int, int, int]], last_start: datetime | None, first_turn: float | None) -> Load:
    held = list(trainers)
    return Load(
        project_id=project.id,
        running=sum(jobs for jobs, _, _ in held),
        slots=sum(slots for _, _, slots in held),
        gpus=sum(gpus for _, gpus, _ in held),
        max_running_jobs=project.max_running_jobs,
        max_running_gpus=project.max_running_gpus,
        last_start=last_start,
        first_turn=first_turn,
    )
