"""Projects in the record."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from counterweight.contracts.ids import new_id
from counterweight.contracts.projects import NewProject, ProjectPatch, ProjectView
from service.domain.errors import NotFound
from service.persistence import event_log
from service.persistence.admission import limits, loads
from service.persistence.tables import IS_QUEUED, Job, Project


def add(session: Session, new: NewProject, now: datetime) -> Project:
    project = Project(
        id=new_id("prj", now),
        name=new.name,
        created_at=now,
        max_running_jobs=new.max_running_jobs,
        max_running_gpus=new.max_running_gpus,
    )
    session.add(project)
    session.flush()
    return project


def get(session: Session, project_id: str) -> Project:
    """Return a project; NotFound when there is none of this id."""
    project = session.get(Project, project_id)
    if project is None:
        raise NotFound(f"there is no project {project_id!r}")
    return project


def edit(session: Session, project_id: str, patch: ProjectPatch) -> Project:
    """Change a project's name or limits, after the claims under way; what runs already goes on, also above a new limit."""
    locked = select(Project).where(Project.id == project_id).with_for_update(key_share=True)
    project = session.scalar(locked)
    if project is None:
        raise NotFound(f"there is no project {project_id!r}")
    for field in patch.model_fields_set:
        setattr(project, field, getattr(patch, field))
    # A wider limit lets jobs start: workers need not wait until they look anyway.
    event_log.announce(session, project.id)
    return project


def page(session: Session, after: str | None, limit: int) -> list[Project]:
    """Return up to `limit` projects by id, of those after the project `after`."""
    query = select(Project).order_by(Project.id).limit(limit)
    return list(session.scalars(query if after is None else query.where(Project.id > after)))


def views(session: Session, found: Sequence[Project]) -> list[ProjectView]:
    """Return projects as the service answers them."""
    in_hand = {load.project_id: load for load in loads(session)}
    counted = select(Job.project_id, func.count()).where(IS_QUEUED, Job.project_id.in_([project.id for project in found]))
    queued = {project_id: count for project_id, count in session.execute(counted.group_by(Job.project_id))}
    return [
        ProjectView(
            id=project.id,
            name=project.name,
            limits=limits(in_hand[project.id]),
            queued_jobs=queued.get(project.id, 0),
            created_at=project.created_at,
        )
        for project in found
    ]
