"""Mail between an agent and a trainer that runs elsewhere: the trainer's end is the API, to which it shows its attempt's token.

A token is a secret of an attempt, and of those claimed with it for the same trainer. It opens while one of these goes on: what moves the
fence of a job closes its attempt, and so the token needs no date at which it expires. Mail says nothing by itself; the agent reads
it as it reads a pipe, and commits it under the claim.
"""

import hashlib
import secrets
from collections.abc import Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from service.domain.errors import NotReady
from service.persistence.queue import Claim
from service.persistence.tables import Attempt, Mail

PREFIX = "cwt_"

MOST_WAITING = 64
"""So many letters may wait for an agent: one that is away would otherwise let its trainers fill the record."""


def open_channel(session: Session, claims: Sequence[Claim]) -> str:
    """Give a new token to the attempts under these claims, as far as they still go on; return it. Only its digest is kept."""
    token = PREFIX + secrets.token_urlsafe(32)
    for claim in claims:
        is_theirs = (Attempt.job_id == claim.id) & (Attempt.fence == claim.fence) & Attempt.ended_at.is_(None)
        session.execute(update(Attempt).where(is_theirs).values(channel=digest(token)))
    return token


def verify(session: Session, token: str) -> str | None:
    """Return the channel that a token opens; None when no attempt under it goes on."""
    found = select(Attempt.channel).where(Attempt.channel == digest(token), Attempt.ended_at.is_(None)).limit(1)
    return session.scalar(found)


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def send(session: Session, channel: str, number: int, body: str) -> None:
    """Keep a trainer's letter. One that came before is not kept again: the trainer did not hear that it had come."""
    if session.get(Mail, (channel, False, number)) is not None:
        return
    waiting = session.scalar(select(func.count()).select_from(Mail).where(Mail.channel == channel, Mail.to_trainer.is_(False))) or 0
    if waiting > MOST_WAITING:
        raise NotReady(f"{waiting} letters wait for the worker to read them; try again", code="unavailable")
    session.add(Mail(channel=channel, to_trainer=False, number=number, body=body))


def order(session: Session, channel: str, number: int, body: str) -> None:
    """Keep an order for a trainer."""
    session.add(Mail(channel=channel, to_trainer=True, number=number, body=body))


def letters(session: Session, channel: str, after: int) -> list[tuple[int, str]]:
    """Return what a trainer has sent after a letter, in order, each with its number."""
    return _read(session, channel, after, to_trainer=False)


def orders(session: Session, channel: str, after: int) -> list[tuple[int, str]]:
    """Return what a trainer was told after an order, in order, each with its number."""
    return _read(session, channel, after, to_trainer=True)


def forget(session: Session, channel: str, number: int) -> None:
    """Delete a trainer's letters that were read: all up to `number` but that one, which tells a repeat."""
    session.execute(delete(Mail).where(Mail.channel == channel, Mail.to_trainer.is_(False), Mail.number < number))


def close_channel(session: Session, channel: str) -> None:
    session.execute(delete(Mail).where(Mail.channel == channel))


def sweep(session: Session) -> None:
    """Delete the mail of attempts that have ended: their agents did not live to do so."""
    goes_on = select(Attempt.channel).where(Attempt.channel.is_not(None), Attempt.ended_at.is_(None))
    session.execute(delete(Mail).where(Mail.channel.not_in(goes_on)))


def _read(session: Session, channel: str, after: int, *, to_trainer: bool) -> list[tuple[int, str]]:
    mine = select(Mail.number, Mail.body).where(Mail.channel == channel, Mail.to_trainer.is_(to_trainer), Mail.number > after)
    return [(number, body) for number, body in session.execute(mine.order_by(Mail.number))]
