"""Following streams of server-sent events: gone on with after a break, from the last event that came."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel

from counterweight._resources.waiting import RESTART_PATIENCE_S
from counterweight._transport import Transport
from counterweight.contracts.events import EventView, ProgressView
from counterweight.errors import ServerUnreachable

Snapshot = TypeVar("Snapshot", bound=BaseModel)


@dataclass
class _Frame:
    """A frame as its fields come in; the id of the last one that had any, and how long to stay away after a break."""

    event: str = ""
    data: str = ""
    last_id: str = ""
    retry_s: float = 1.0


def follow(transport: Transport, path: str, snapshot: type[Snapshot], after: int | None) -> Iterator[Snapshot | EventView | ProgressView]:
    """Yield what a stream tells until its `end`; ServerUnreachable when the server stays away for a minute."""
    frame = _Frame(last_id="" if after is None else str(after))
    heard_at = time.monotonic()
    while True:
        try:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": frame.last_id} if frame.last_id else {})
            with transport.stream(path, headers) as answer:
                for told in _frames(answer, frame):
                    heard_at = time.monotonic()
                    if told.event == "end":
                        return
                    yield _read(told, snapshot)
        except ServerUnreachable:
            if time.monotonic() - heard_at > RESTART_PATIENCE_S:
                raise
        time.sleep(frame.retry_s)


def _frames(answer: httpx.Response, frame: _Frame) -> Iterator[_Frame]:
    """Yield the frame each time it has become whole. Half a frame at a break counts for nothing, its id neither."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        frame.last_id = fields.get("id", frame.last_id)
        frame.retry_s = int(fields["retry"]) / 1000 if "retry" in fields else frame.retry_s
        if "data" in fields:
            frame.event, frame.data = fields.get("event", "message"), fields["data"]
            yield frame
        fields = {}


def _read(frame: _Frame, snapshot: type[Snapshot]) -> Snapshot | EventView | ProgressView:
    kinds: dict[str, type[Snapshot] | type[ProgressView]] = {"snapshot": snapshot, "progress": ProgressView}
    # Fields of a newer server are passed over.
    return kinds.get(frame.event, EventView).model_validate_json(frame.data, extra="ignore")
