"""Projects: whom datasets and jobs belong to, and how much of them may run at once."""

from typing import Annotated, Literal

from pydantic import Field

from counterweight.contracts.base import Name, Request, Timestamp, View
from counterweight.contracts.queue import ProjectLimits

MostJobs = Annotated[int, Field(ge=0, le=100_000)]


class NewProject(Request):
    """A project to make; its keys are made with `POST /api-keys` and `project`."""

    name: Name
    max_running_jobs: MostJobs | None = None
    max_running_gpus: MostJobs | None = None


class ProjectPatch(Request):
    """What of a project can be changed, as a merge patch (RFC 7396): null takes a limit away, 0 lets nothing start."""

    # A factory, so that "left out" is no value of its own in the description.
    name: Name = Field(default_factory=str)
    max_running_jobs: MostJobs | None = None
    max_running_gpus: MostJobs | None = None


class ProjectView(View):
    """A project as the service answers it."""

    id: str
    object: Literal["project"] = "project"
    name: str
    limits: ProjectLimits
    queued_jobs: int
    created_at: Timestamp
