"""The queue as its users see it: which jobs wait, in which order, for what."""

from counterweight.contracts.base import Timestamp, View
from counterweight.contracts.jobs import QueueView
from counterweight.contracts.pages import Page


class ProjectLimits(View):
    """How much of a project may run at once, and how much does; a limit that is null leaves it to the project's fair share."""

    max_running_jobs: int | None
    max_running_gpus: int | None
    running_jobs: int
    running_gpus: int


class QueuedJob(View):
    """A job that waits, and why."""

    id: str
    name: str
    study_id: str | None
    priority: int
    queued_at: Timestamp
    queue: QueueView


class QueuePage(Page[QueuedJob]):
    """The project's queued jobs, the next one first, and what there is to run them: `slots` of workers that take work, `busy` ones.

    `queued` and `running` count the project's jobs.
    """

    queued: int
    running: int
    slots: int
    busy: int
    limits: ProjectLimits
