"""A client of a stream of server-sent events, and the frames it reads."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Told:
    """One frame: comments have no event."""

    event: str | None
    id: int | None
    data: Any


@contextmanager
def streaming(url: str, last_id: int | None = None, **headers: str) -> Iterator[Iterator[Told]]:
    """Open a stream, and yield its frames as they come."""
    asked = headers if last_id is None else {**headers, "Last-Event-ID": str(last_id)}
    with httpx.Client(timeout=30) as client, client.stream("GET", url, headers=asked) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield _frames(response)


def _frames(response: httpx.Response) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            yield Told(fields.get("event"), int(fields["id"]) if "id" in fields else None, json.loads(fields["data"]))
        elif fields:
            yield Told(None, None, fields)
        fields = {}


def everything(url: str, last_id: int | None = None) -> list[Told]:
    """Read a stream to its end."""
    with streaming(url, last_id) as frames:
        return list(frames)
