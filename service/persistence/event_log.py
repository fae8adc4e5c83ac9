"""The event log as a sequence: appended to in the transaction that makes a change, read in the order of ids, none missed.

On PostgreSQL ids are given out before their transactions commit, so a lower id may appear after a higher one. Whoever appends therefore
holds a place first: a shared advisory lock that names the last id given out until then, below all ids that it is going to take.
Nobody waits for it. Readers go no further than the lowest place held: everything up to there has been committed or given up.
SQLite lets one writer in at a time, so that its ids appear in order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from service.persistence import inserting
from service.persistence.tables import Event

CHANNEL = "counterweight"
"""The PostgreSQL notification channel; a notification carries the id of what changed."""

PLACES = 1_702_257_011
"""The class of the advisory locks."""

_RING = 2**31
"""A lock names the lower bits of an id."""

_LAST = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM events_id_seq"
_TELL = f"(SELECT count(pg_notify('{CHANNEL}', subject)) FROM unnest(CAST(:subjects AS text[])) AS subject)"
_ANNOUNCE = text(f"SELECT {_TELL}")
_HELD_PLACE = f"SELECT pg_advisory_xact_lock_shared({PLACES}, (({_LAST}) % {_RING})::int), {_TELL}"
_COLUMNS = "at, project_id, subject, kind, from_state, to_state, reason"
# One round trip. A row is given its id when it is joined with the place, after that was taken.
_APPEND = text(
    f"WITH place AS MATERIALIZED ({_HELD_PLACE}) INSERT INTO events ({_COLUMNS}) SELECT {_COLUMNS} FROM place,"
    " jsonb_populate_recordset(CAST(NULL AS events), :rows)"
).bindparams(bindparam("rows", type_=JSONB))
_HELD_PLACES = text(
    f"SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = {PLACES} AND objsubid = 2 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True)
class Extent:
    """How far the log goes: up to `settled` nothing will be added any more; `last` is the highest id ever given out."""

    settled: int
    last: int


@dataclass(frozen=True)
class Topic:
    """Which events are meant: those of one project, of these only those of one subject, or all."""

    project_id: str | None = None
    subject: str | None = None


EVERYTHING = Topic()


def append(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write events, given as their columns, and announce their subjects."""
    if not rows:
        return
    if _is_postgres(session):
        subjects = list(dict.fromkeys(row["subject"] for row in rows))
        connection = session.connection()
        connection.execute(_APPEND, {"subjects": subjects, "rows": inserting.plain(Event, rows, connection.dialect)})
    else:
        # Not as objects: those with counted keys would be inserted one by one.
        inserting.add_rows(session, Event, rows)


def announce(session: Session, *subjects: str) -> None:
    """Tell listeners, when this transaction commits, what changed. SQLite needs no telling: its readers watch the file."""
    if subjects and _is_postgres(session):
        session.execute(_ANNOUNCE, {"subjects": list(subjects)})


def extent(session: Session) -> Extent:
    """Return how far the log can be read."""
    if not _is_postgres(session):
        last = session.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'events'")) or 0
        return Extent(last, last)
    # In this order: whoever takes a place after we have looked for places takes its ids above what was the last before.
    last = session.scalar(text(_LAST)) or 0
    places = [(last - place) % _RING for place in session.scalars(_HELD_PLACES)]
    return Extent(last - max((behind for behind in places if behind < _RING // 2), default=0), last)


def between(session: Session, after: int, upto: int, topic: Topic = EVERYTHING, limit: int | None = None) -> list[Event]:
    """Return up to `limit` events of a topic with ids above `after`, no higher than `upto`."""
    query = select(Event).where(Event.id > after, Event.id <= upto).order_by(Event.id).limit(limit)
    if topic.project_id is not None:
        query = query.where(Event.project_id == topic.project_id)
    if topic.subject is not None:
        query = query.where(Event.subject == topic.subject)
    return list(session.scalars(query))


def last_of(session: Session, subject: str) -> int:
    """Return the id of the last event of a subject, also one that is not settled; 0 where there is none."""
    return session.scalar(select(func.max(Event.id)).where(Event.subject == subject)) or 0


def _is_postgres(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
