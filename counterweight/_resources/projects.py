"""Projects."""

from collections.abc import Iterator
from typing import Any

from counterweight._resources.asking import document, pages
from counterweight._transport import Transport
from counterweight.contracts.pages import Page
from counterweight.contracts.projects import NewProject, ProjectPatch, ProjectView


class Projects:
    """Whom datasets and jobs belong to, and how much of them may run at once. Changing them takes an admin of the default project."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, new: NewProject | str | None = None, **fields: Any) -> ProjectView:
        """Make a project, given as a NewProject, as its JSON or as its fields; `keys.create(project=…)` makes its keys."""
        return self._transport.post("/projects", ProjectView, document(new, NewProject, fields))

    def get(self, project_id: str) -> ProjectView:
        return self._transport.get(f"/projects/{project_id}", ProjectView)

    def list(self, *, limit: int | None = None) -> Iterator[ProjectView]:
        """Yield the projects that the key may see."""
        return pages(self._transport, "/projects", Page[ProjectView], {}, limit)

    def update(self, project_id: str, patch: ProjectPatch | None = None, **fields: Any) -> ProjectView:
        """Change what is given: `max_running_jobs=4`, or None to take the limit away."""
        given = (patch or ProjectPatch(**fields)).model_dump_json(exclude_unset=True)
        return self._transport.patch(f"/projects/{project_id}", ProjectView, given, None)
