"""Answers kept under their idempotency key, in the transaction that made what they speak of."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.domain.errors import Invalid, NotReady, WrongState
from service.persistence.tables import IdempotentAnswer

SECRET = ""
"""The body kept for an answer that held a secret: it cannot be given again."""


@dataclass(frozen=True)
class Answer:
    """What a creating POST answers; `replayed` when it was first given to an earlier request."""

    status: int
    location: str
    body: str
    replayed: bool = False


def find(session: Session, project_id: str, key: str, fingerprint: str) -> Answer | None:
    """Return what this key was answered before; None the first time.

    Invalid when the key came with another request, NotReady while its first request is still being answered.
    """
    _take(session, project_id, key)
    kept = session.get(IdempotentAnswer, (project_id, key))
    if kept is None:
        return None
    if kept.fingerprint != fingerprint:
        raise Invalid.at(
            "/Idempotency-Key",
            "idempotency_mismatch",
            "this Idempotency-Key was used for a different request; use a new key for each request",
        )
    if kept.body == SECRET:
        raise WrongState(
            "this request was answered before, with a secret that is shown only once; use a new Idempotency-Key to make another",
            [],
            code="idempotency_secret",
        )
    return Answer(kept.status, kept.location, kept.body, replayed=True)


def keep(session: Session, project_id: str, key: str, fingerprint: str, answer: Answer, now: datetime) -> None:
    """Keep an answer for the repeats of its request."""
    session.add(
        IdempotentAnswer(
            project_id=project_id,
            key=key,
            fingerprint=fingerprint,
            status=answer.status,
            location=answer.location,
            body=answer.body,
            created_at=now,
        )
    )


def _take(session: Session, project_id: str, key: str) -> None:
    """Hold the key until this transaction ends. SQLite lets one writer in at a time, so nobody else can have it there."""
    if session.get_bind().dialect.name != "postgresql":
        return
    if not session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(f"{project_id}/{key}", 0)))):
        raise NotReady("the first request with this Idempotency-Key is still being answered", code="idempotency_in_flight")
