"""What has happened: the entries of the event log, and what else a stream of them tells."""

from typing import Literal

from pydantic import Field

from counterweight.contracts.base import Timestamp, View
from counterweight.contracts.jobs import Progress, SeriesSummary
from counterweight.contracts.pages import Page

EventType = Literal["job", "phase", "study", "dataset", "edit", "deletion"]


class EventView(View):
    """One entry of the log. Ids grow, and none is ever added below one that was shown.

    `from_state` and `to_state` are states of the subject (of a `phase`: what a running job does); equal where it changed otherwise.
    """

    id: int
    object: Literal["event"] = "event"
    type: EventType
    at: Timestamp
    project: str
    subject: str = Field(description="The id of the job, study or dataset it happened to.")
    from_state: str | None = Field(description="Null for something new.")
    to_state: str | None = Field(description="Null for something deleted.")
    reason: str


class EventPage(Page[EventView]):
    """Entries of the log, oldest first. Read on with `after` = the `id` of the last one; `next` says that there are more already."""


class ProgressView(View):
    """How far a running job has come, and its metrics so far. Told at most once a second, and not part of the log."""

    id: str
    object: Literal["progress"] = "progress"
    progress: Progress
    latest: dict[str, SeriesSummary]


class Activity(View):
    """What a project has, by state: states without any are left out."""

    object: Literal["activity"] = "activity"
    project: str
    datasets: dict[str, int]
    jobs: dict[str, int]
    studies: dict[str, int]


class StreamEnd(View):
    """Nothing more will come: the subject is `over`, or was `deleted`."""

    object: Literal["end"] = "end"
    reason: Literal["over", "deleted"]
