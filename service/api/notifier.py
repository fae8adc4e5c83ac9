"""One thread a process watches the record, for all who wait in it: it wakes long-polls and feeds streams."""

import asyncio
import logging
import threading
import time
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool

from counterweight.contracts.events import EventView, StreamEnd
from counterweight.contracts.jobs import Progress
from service.api.feed import Feed, Frame, frame
from service.api.waiting import Waiting
from service.domain import lifecycle, studies
from service.persistence import changes, event_log, job_progress, keys
from service.persistence.database import DATABASE_AWAY, Database
from service.persistence.tables import Event

logger = logging.getLogger(__name__)

RESTART_S = 1.0
GATHER_S = 0.05
"""While much changes, what comes so soon after a reading is read with what follows it: readings take the time of those who write."""

HEARTBEAT_S = 10.0
PROGRESS_S = 1.0
MOST_AT_ONCE = 1000


class Notifier:
    """`start` and `end` it on the event loop that serves those who wait."""

    def __init__(self, database: Database, waiting: Waiting, feed: Feed) -> None:
        self._database, self._waiting, self._feed = database, waiting, feed
        self._stop = threading.Event()
        self._position: int | None = None
        self._read_at = 0.0
        self._progress: dict[str, Progress] = {}
        self._progress_at = 0.0

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._watch, name="notifier", daemon=True)
        self._thread.start()
        self._heart = asyncio.ensure_future(self._beat())

    def end(self) -> None:
        """Let everybody go with what there is now."""
        self._stop.set()
        self._heart.cancel()
        self._waiting.end()
        self._feed.end()

    def join(self) -> None:
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                for subjects in changes.watch(self._database, self._stop):
                    self._pass_on(subjects)
            except Exception:
                # Without this thread nobody would be woken: whatever went wrong, begin again. Waiters answer at their own deadline.
                logger.exception("watching the record failed; starting again")
                self._stop.wait(RESTART_S)

    def _pass_on(self, subjects: frozenset[str]) -> None:
        if subjects:
            self._loop.call_soon_threadsafe(self._waiting.ring, subjects)
        self._stop.wait(max(0.0, self._read_at + GATHER_S - time.monotonic()))
        try:
            while self._read_log() and not self._stop.is_set():
                pass
            self._read_at = time.monotonic()
            if time.monotonic() - self._progress_at >= PROGRESS_S:
                self._progress_at = time.monotonic()
                self._read_progress()
        except DATABASE_AWAY:
            pass  # Nothing is skipped: the next reading begins where this one would have.

    def _read_log(self) -> bool:
        """Publish what is new in the log; say whether there may be more."""
        with self._database.read() as session:
            settled = event_log.extent(session).settled
            if self._position is None:
                self._position = settled
                self._loop.call_soon_threadsafe(self._feed.begin, settled)
                return False
            found = event_log.between(session, self._position, settled, limit=MOST_AT_ONCE)
        has_more = len(found) == MOST_AT_ONCE
        position = found[-1].id if has_more else max(self._position, settled)
        if position > self._position:
            self._position = position
            views = [view_of(event) for event in found]
            self._loop.call_soon_threadsafe(self._feed.publish, [(view, frame_of(view)) for view in views], position)
            # A hint can be lost with the process that should have given it; what is in the log cannot.
            self._loop.call_soon_threadsafe(self._waiting.ring, frozenset(view.subject for view in views))
        return has_more

    def _read_progress(self) -> None:
        followed = set(self._feed.followed_jobs())
        with self._database.read() as session:
            moved = job_progress.moved(session, followed, self._progress)
        kept = {job_id: progress for job_id, progress in self._progress.items() if job_id in followed}
        self._progress = kept | {view.id: view.progress for view in moved}
        if moved:
            self._loop.call_soon_threadsafe(self._feed.tell, [(view.id, Frame(frame("progress", view))) for view in moved])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._feed.beat()
            try:
                self._feed.dismiss(await run_in_threadpool(self.ended_keys, self._feed.keys()))
            except DATABASE_AWAY:
                logger.warning("the database does not answer: whether keys of open streams still hold is asked again later")

    def ended_keys(self, used: set[str | None]) -> set[str | None]:
        """Return those of these keys that have been revoked or have expired; None stands for having none, while none was needed."""
        with self._database.read() as session:
            active = keys.active_ids(session, [key for key in used if key is not None], datetime.now(UTC))
            is_open = not keys.any_made(session)
        return {key for key in used if not (is_open if key is None else key in active)}


def view_of(event: Event) -> EventView:
    return EventView.model_validate(
        {
            "id": event.id,
            "type": event.kind,
            "at": event.at,
            "project": event.project_id,
            "subject": event.subject,
            "from_state": event.from_state,
            "to_state": event.to_state,
            "reason": event.reason,
        }
    )


def frame_of(event: EventView) -> Frame:
    return Frame(frame(event.type, event, event.id), event.id, _end_after(event))


def _end_after(event: EventView) -> bytes | None:
    """Return what ends the stream of the event's subject, if anything."""
    if event.type == "deletion":
        return frame("end", StreamEnd(reason="deleted"))
    states: frozenset[str] = frozenset({"job": lifecycle.TERMINAL, "study": studies.TERMINAL}.get(event.type, ()))
    return frame("end", StreamEnd(reason="over")) if event.to_state in states else None
