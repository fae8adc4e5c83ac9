"""Answers of POSTs that create something: given once, and again to their repeats."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from service.domain.canonical import digest
from service.persistence import idempotency
from service.persistence.idempotency import Answer


def answer(status: int, view: BaseModel, location: str) -> Answer:
    return Answer(status, location, view.model_dump_json())


def once(
    session: Session, project_id: str, key: str | None, request: Any, make: Callable[[], Answer | None], now: datetime
) -> Answer | None:
    """Return what `make` answers, or what it answered when this request first came under this key.

    `request` is the request as a JSON value: what must be equal for it to be the same one. `make` runs in the transaction that
    keeps its answer; when it returns None there is no answer yet, and nothing is kept.
    """
    if key is None:
        return make()
    fingerprint = digest(request)
    made = idempotency.find(session, project_id, key, fingerprint)
    if made is None:
        made = make()
        if made is not None:
            idempotency.keep(session, project_id, key, fingerprint, made, now)
    return made


def respond(made: Answer) -> Response:
    headers = {"Location": made.location} | ({"Idempotency-Replayed": "true"} if made.replayed else {})
    return Response(made.body, made.status, headers, "application/json")
