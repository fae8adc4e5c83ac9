"""What is streamed: each thing said once for all who follow, and kept, bounded, until a client has taken it."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from counterweight.contracts.base import View
from counterweight.contracts.events import EventView
from counterweight.contracts.ids import is_id
from service.domain.callers import Caller

MOST_WAITING = 1000
"""A client that is so many frames behind is cut off; it comes back and goes on from the last id it has."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes to be sent. Those of the event log have an id; after what is the last of its subject comes `end`, and nothing more."""

    body: bytes
    id: int | None = None
    end: bytes | None = None


HEARTBEAT = Frame(b":\n\n")


def frame(event: str, view: View, event_id: int | None = None) -> bytes:
    """Return a frame of a text/event-stream. JSON has no line breaks of its own."""
    head = f"event: {event}\n" if event_id is None else f"id: {event_id}\nevent: {event}\n"
    return f"{head}data: {view.model_dump_json()}\n\n".encode()


def retry(milliseconds: int) -> bytes:
    """Return what tells a client how long to wait before it comes back."""
    return f"retry: {milliseconds}\n\n".encode()


class Stream:
    """What one client is to be sent next. `begun_at` is the last event that was published before it came."""

    def __init__(self, caller: Caller, begun_at: int) -> None:
        self.caller, self.begun_at = caller, begun_at
        self.is_over = False
        self._frames: deque[Frame] = deque()
        self._bell = asyncio.Event()

    def put(self, one: Frame) -> None:
        if self.is_over:
            return
        if len(self._frames) >= MOST_WAITING:
            self.end()
        self._frames.append(one)
        self._bell.set()

    def end(self) -> None:
        """Let the client go: what waits for it is dropped, and it finds that in the log."""
        self.is_over = True
        self._frames.clear()
        self._bell.set()

    async def take(self) -> list[Frame]:
        """Return what there is to send, as soon as there is something; nothing once it is over."""
        await self._bell.wait()
        self._bell.clear()
        taken = [] if self.is_over else list(self._frames)
        self._frames.clear()
        return taken


class Feed:
    """Those who follow something in this process: a project, a job or a study, each by its id. For the event loop alone."""

    def __init__(self) -> None:
        self._streams: dict[str, set[Stream]] = {}
        self._position = 0
        self.begun = asyncio.Event()

    def begin(self, position: int) -> None:
        """From here on, what comes after the event `position` is published."""
        self._position = position
        self.begun.set()

    @contextmanager
    def following(self, topic: str, caller: Caller) -> Iterator[Stream]:
        """Everything published about `topic` from now on waits in the stream."""
        stream = Stream(caller, self._position)
        streams = self._streams.setdefault(topic, set())
        streams.add(stream)
        try:
            yield stream
        finally:
            streams.discard(stream)
            if not streams and self._streams.get(topic) is streams:
                del self._streams[topic]

    def publish(self, events: Iterable[tuple[EventView, Frame]], position: int) -> None:
        """Hand on what has happened, in order, up to the event `position`."""
        for event, said in events:
            self._say(event.subject, said)
            self._say(event.project, said)
        self._position = position

    def tell(self, said: Iterable[tuple[str, Frame]]) -> None:
        """Hand on what is not part of the log, by topic."""
        for topic, one in said:
            self._say(topic, one)

    def beat(self) -> None:
        """Show every client that it is still connected."""
        for stream in self._everyone():
            stream.put(HEARTBEAT)

    def dismiss(self, keys: Collection[str | None]) -> None:
        """Let those go who came with one of these keys."""
        for stream in self._everyone():
            if stream.caller.key_id in keys:
                stream.end()

    def end(self) -> None:
        for stream in self._everyone():
            stream.end()

    def followed_jobs(self) -> list[str]:
        """Any thread may ask: copying the keys is one step of the interpreter."""
        return [topic for topic in list(self._streams) if is_id("job", topic)]

    def keys(self) -> set[str | None]:
        return {stream.caller.key_id for stream in self._everyone()}

    def _say(self, topic: str, one: Frame) -> None:
        for stream in self._streams.get(topic, ()):
            stream.put(one)

    def _everyone(self) -> list[Stream]:
        return [stream for streams in self._streams.values() for stream in streams]
