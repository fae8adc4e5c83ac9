"""The routes of projects."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Response

from counterweight.contracts.pages import Page
from counterweight.contracts.projects import NewProject, ProjectPatch, ProjectView
from service.api.answers import answer, once, respond
from service.api.bodies import MERGE_PATCH, StrictRoute
from service.api.dependencies import After, IdempotencyKey, Limit, Operator, Reader, ReadSession, WriteSession, is_operator, now, operator
from service.api.problems import declared
from service.domain.cursors import cursor_after, id_before
from service.domain.errors import NotFound
from service.persistence import projects
from service.persistence.idempotency import Answer

router = APIRouter(prefix="/projects", tags=["projects"], route_class=StrictRoute)


@router.post("", operation_id="projects_create", status_code=201, response_model=ProjectView, responses=declared(409, 413, 415))
def create_project(new: NewProject, caller: Operator, session: WriteSession, key: IdempotencyKey) -> Response:
    """Make a project; its keys are made with `POST /api-keys` and its id as `project`. Projects get even shares of the workers."""
    moment = now()

    def make() -> Answer:
        project = projects.add(session, new, moment)
        return answer(201, projects.views(session, [project])[0], f"/api/v1/projects/{project.id}")

    made = once(session, caller.project_id, key, ["POST /projects", new.model_dump(mode="json")], make, moment)
    assert made is not None
    return respond(made)


@router.get("", operation_id="projects_list", responses=declared())
def list_projects(caller: Reader, session: ReadSession, limit: Limit = 50, after: After = None) -> Page[ProjectView]:
    """List the projects that the key may see: its own, and with an admin's key of the default project all."""
    if not is_operator(caller):
        return Page(data=projects.views(session, [projects.get(session, caller.project_id)]))
    found = projects.page(session, None if after is None else id_before(after, "prj"), limit + 1)
    more = cursor_after(found[limit - 1].id) if len(found) > limit else None
    return Page(data=projects.views(session, found[:limit]), next=more)


@router.get("/{project_id}", operation_id="projects_get", responses=declared(404))
def get_project(caller: Reader, session: ReadSession, project_id: str) -> ProjectView:
    """Get a project: its limits, and how much of it runs and waits."""
    if project_id != caller.project_id and not is_operator(caller):
        raise NotFound(f"there is no project {project_id!r}")
    return projects.views(session, [projects.get(session, project_id)])[0]


@router.patch("/{project_id}", operation_id="projects_update", responses=declared(404, 413, 415), dependencies=[Depends(operator)])
def update_project(patch: Annotated[ProjectPatch, Body(media_type=MERGE_PATCH)], session: WriteSession, project_id: str) -> ProjectView:
    """Change a project's name or its limits on what runs at once. What runs already goes on, also above a new limit."""
    project = projects.edit(session, project_id, patch)
    session.flush()
    return projects.views(session, [project])[0]
