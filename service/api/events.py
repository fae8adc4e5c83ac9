"""The routes of the event log: as a stream, or as a page."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from counterweight.contracts.base import View
from counterweight.contracts.events import EventPage, StreamEnd
from counterweight.contracts.jobs import JobView
from counterweight.contracts.studies import StudyView
from service.api import event_stream
from service.api.bodies import StrictRoute
from service.api.dependencies import Limit, Reader, Service, now, service_of
from service.api.event_stream import EventStream, Opening
from service.api.feed import Frame, frame
from service.api.negotiation import preferred
from service.api.notifier import frame_of, view_of
from service.api.problems import declared, wrong_field
from service.api.reading import MOVING_HELD_S
from service.domain.callers import Caller
from service.persistence import activity, event_log, jobs, studies
from service.persistence.event_log import Topic

router = APIRouter(tags=["events"], route_class=StrictRoute)

JSON = "application/json"
LARGEST_ID = 2**63 - 1


async def last_event_id(
    value: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The id of the last frame had: the stream goes on after it.")
    ] = None,
) -> int | None:
    if value is None or not value.strip():
        return None
    if not value.isascii() or not value.isdecimal() or int(value) > LARGEST_ID:
        raise wrong_field("/Last-Event-ID", "invalid", "a Last-Event-ID is the `id` of a frame, a number; leave it out to begin now")
    return int(value)


LastEventId = Annotated[int | None, Depends(last_event_id)]
AfterEvent = Annotated[
    int | None,
    Query(ge=0, le=LARGEST_ID, description="The `id` of the last event known; for a stream, where Last-Event-ID cannot be sent."),
]

STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"content": {event_stream.MEDIA_TYPE: {"schema": {"type": "string"}}}, "description": "A page, or a stream of frames."}
}


@router.get("/events", operation_id="events_list", response_model=EventPage, responses=declared(406) | STREAMED)
async def list_events(request: Request, caller: Reader, last: LastEventId, after: AfterEvent = None, limit: Limit = 50) -> Response:
    """Follow everything that happens in the project as a stream of server-sent events: a snapshot of counts, then each event of the log.

    With `Accept: application/json`, a page of the log, oldest first.
    """
    return await _answer(request, caller, None, lambda session: activity.view(session, caller.project_id), last, after, limit)


@router.get("/jobs/{job_id}/events", operation_id="jobs_events", response_model=EventPage, responses=declared(404, 406) | STREAMED)
async def list_job_events(
    request: Request, caller: Reader, job_id: str, last: LastEventId, after: AfterEvent = None, limit: Limit = 50
) -> Response:
    """Follow a job as a stream of server-sent events: `snapshot` (the job), then its events and `progress`, and `end` once it is over.

    With `Accept: application/json`, a page of its log, oldest first.
    """

    def look(session: Session) -> JobView:
        return jobs.views(session, [jobs.get(session, caller.project_id, job_id)], now())[0]

    return await _answer(request, caller, job_id, look, last, after, limit)


@router.get("/studies/{study_id}/events", operation_id="studies_events", response_model=EventPage, responses=declared(404, 406) | STREAMED)
async def list_study_events(
    request: Request, caller: Reader, study_id: str, last: LastEventId, after: AfterEvent = None, limit: Limit = 50
) -> Response:
    """Follow a study as a stream of server-sent events: `snapshot` (the study), an event for each job that ends, and `end`.

    With `Accept: application/json`, a page of its log, oldest first.
    """

    def look(session: Session) -> StudyView:
        return studies.view(session, studies.get(session, caller.project_id, study_id))

    return await _answer(request, caller, study_id, look, last, after, limit)


async def _answer(
    request: Request,
    caller: Caller,
    subject: str | None,
    look: Callable[[Session], View],
    last: int | None,
    after: int | None,
    limit: int,
) -> Response:
    service = service_of(request)
    topic = Topic(caller.project_id, subject)
    form = preferred(request.headers.get("accept"), (event_stream.MEDIA_TYPE, JSON))
    if form == JSON:
        return await run_in_threadpool(_page, service, topic, look, after or 0, limit)

    def opening() -> Opening:
        with service.database.read() as session:
            # How far the log goes is asked first: what the view shows is then at least as new.
            extent = event_log.extent(session)
            view = look(session)
            return Opening(extent.settled, extent.last, view, _end_of(session, view, subject, extent.settled))

    def read(begin: int, upto: int, most: int) -> Sequence[Frame]:
        with service.database.read() as session:
            return [frame_of(view_of(event)) for event in event_log.between(session, begin, upto, topic, most)]

    return EventStream(
        service.feed,
        subject or caller.project_id,
        caller,
        after if last is None else last,
        lambda: service.held.get(("events", topic), opening, lambda _: MOVING_HELD_S),
        read,
    )


def _page(service: Service, topic: Topic, look: Callable[[Session], View], after: int, limit: int) -> Response:
    with service.database.read() as session:
        if topic.subject is not None:
            look(session)
        found = event_log.between(session, after, event_log.extent(session).settled, topic, limit + 1)
    shown = [view_of(event) for event in found[:limit]]
    page = EventPage(data=shown, next=str(shown[-1].id) if len(found) > limit else None)
    return Response(page.model_dump_json(), media_type=JSON)


def _end_of(session: Session, view: View, subject: str | None, settled: int) -> bytes | None:
    """Return what ends the stream at once: the subject is over, and the event that tells so is settled."""
    if subject is None or not isinstance(view, JobView | StudyView) or not view.is_terminal:
        return None
    return frame("end", StreamEnd(reason="over")) if event_log.last_of(session, subject) <= settled else None
