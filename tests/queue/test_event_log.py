"""The order of the event log: whoever goes on after an id misses none below it, however transactions overlap."""

import random
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service.persistence import event_log, events, housekeeping
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Event, Job
from tests.factories import START, make_job, next_moment

POSTGRES = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def _log(session: Session, subject: str) -> None:
    event_log.append(
        session,
        [
            {
                "at": START,
                "project_id": "prj_default",
                "subject": subject,
                "kind": "job",
                "from_state": None,
                "to_state": "queued",
                "reason": "",
            }
        ],
    )


def _readable(database: Database, after: int = 0) -> list[str]:
    with database.read() as session:
        return [event.subject for event in event_log.between(session, after, event_log.extent(session).settled)]


@POSTGRES
def test_a_later_id_is_not_read_before_an_earlier_one_that_is_still_under_way(database: Database) -> None:
    with database.write() as slow:
        _log(slow, "first")
        with database.write() as quick:
            _log(quick, "second")
        seen = _readable(database)

    assert seen == []
    assert _readable(database) == ["first", "second"]


@POSTGRES
def test_what_is_given_up_holds_nobody_back(database: Database) -> None:
    slow = database.write()
    session = slow.__enter__()
    _log(session, "given up")
    with database.write() as quick:
        _log(quick, "second")

    slow.__exit__(KeyError, KeyError("a reason"), None)

    assert _readable(database) == ["second"]


@POSTGRES
def test_a_transaction_that_only_reads_or_changes_rows_holds_nobody_back(database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
    with database.write() as other:
        other.get_one(Job, job.id).name = "renamed"
        other.flush()
        with database.write() as quick:
            _log(quick, "logged")

        assert _readable(database)[-1] == "logged"


@POSTGRES
def test_ids_beyond_what_a_lock_can_name_keep_their_order(database: Database) -> None:
    with database.write() as session:
        session.execute(text(f"SELECT setval('events_id_seq', {2**31 - 2})"))
        _log(session, "before")
    with database.write() as slow:
        _log(slow, "first")
        with database.write() as quick:
            _log(quick, "second")
        seen = _readable(database)

    assert seen == ["before"]
    assert _readable(database) == ["before", "first", "second"]


def test_an_empty_log_and_one_whose_last_entries_went_say_how_far_they_go(database: Database) -> None:
    with database.read() as session:
        assert event_log.extent(session) == event_log.Extent(0, 0)
    with database.write() as session:
        job = make_job(session, state="cancelled")
        last = event_log.last_of(session, job.id)

    with database.write() as session:
        session.execute(Event.__table__.delete())  # type: ignore[attr-defined]

    with database.read() as session:
        assert event_log.extent(session) == event_log.Extent(last, last)


def test_a_reader_that_goes_on_from_id_to_id_misses_nothing_of_many_writers(database: Database) -> None:
    """Eight writers, each transaction with a random number of events and sometimes given up, and a reader that never goes back."""
    writers, each = 8, 25
    source = random.Random(0)
    plans = [[(source.randint(1, 4), source.random() < 0.2) for _ in range(each)] for _ in range(writers)]
    kept: set[str] = set()

    def write(number: int) -> None:
        for turn, (count, is_given_up) in enumerate(plans[number]):
            names = [f"{number}/{turn}/{place}" for place in range(count)]
            try:
                with database.write() as session:
                    for name in names:
                        _log(session, name)
                    if is_given_up:
                        raise KeyError(number)
            except KeyError:
                continue
            kept.update(names)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    read: list[Event] = []
    is_over = False
    while not is_over:
        is_over = not any(thread.is_alive() for thread in threads)
        with database.read() as session:
            read += event_log.between(session, read[-1].id if read else 0, event_log.extent(session).settled)

    assert [event.id for event in read] == sorted(event.id for event in read)
    assert {event.subject for event in read} == kept
    assert len(read) == len(kept)


def test_news_of_deletions_go_after_a_month_and_nothing_else_does(database: Database, files: Files) -> None:
    with database.write() as session:
        kept, gone = make_job(session, state="cancelled"), make_job(session, state="cancelled")
        before = len(session.scalars(select(Event.id).where(Event.subject == kept.id)).all())
        events.close_log(session, gone, next_moment())

    housekeeping.tidy(database, files, next_moment() + timedelta(days=29))
    with database.read() as session:
        assert session.scalars(select(Event.kind).where(Event.subject == gone.id)).all() == ["deletion"]
    housekeeping.tidy(database, files, next_moment() + timedelta(days=31))

    with database.read() as session:
        assert session.scalars(select(Event.kind).where(Event.subject == gone.id)).all() == []
        assert len(session.scalars(select(Event.id).where(Event.subject == kept.id)).all()) == before
