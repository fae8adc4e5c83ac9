"""What a trainer says is kept once, in order, under its fence, and never without bounds."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from counterweight.contracts.messages import Log
from service.persistence import agents, attempts, logs, queue, recording
from service.persistence.database import Database
from service.persistence.tables import Agent, Job
from tests.factories import make_job

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def _claimed(database: Database) -> queue.Claim:
    with database.write() as session:
        make_job(session)
        agents.register(session, Agent(id="agt_1", home_id="h", host="h", devices=[], beat=0, beat_at=NOW, started_at=NOW))
        session.flush()
        claimed = queue.claim_cohort(session, "agt_1", ("auto",), NOW)
        assert claimed is not None
        return claimed.claims[0]


def _say(database: Database, claim: queue.Claim, numbers: range, at: datetime = NOW, text: str = "line") -> None:
    said = [Log(job_id=claim.id, message=f"{text} {number}", time=NOW.timestamp(), number=number) for number in numbers]
    with database.write() as session:
        recording.record_jobs(session, {claim: said}, 1, at)


def _kept(database: Database, job_id: str) -> list[str]:
    with database.read() as session:
        return [line.message for line in logs.page(session, job_id, 0, 10_000)]


def test_lines_are_kept_in_order_and_once_however_often_they_are_written(database: Database) -> None:
    claim = _claimed(database)

    for _ in range(3):
        _say(database, claim, range(1, 4))
    _say(database, claim, range(3, 6))

    assert _kept(database, claim.id) == [f"line {number}" for number in range(1, 6)]


def test_what_is_said_under_an_old_fence_is_not_kept(database: Database) -> None:
    claim = _claimed(database)
    with database.write() as session:
        agents.retire(session, "agt_1", "lost", NOW)

    _say(database, claim, range(1, 2))

    assert _kept(database, claim.id) == ["the attempt ended (lost); back in the queue"]


def test_a_flood_is_cut_off_and_counted(database: Database) -> None:
    claim = _claimed(database)

    _say(database, claim, range(1, 251))
    _say(database, claim, range(251, 301), NOW + timedelta(seconds=10))

    with database.read() as session:
        assert logs.dropped(session, claim.id) == 90
    assert len(_kept(database, claim.id)) == logs.BURST_LINES + 10


@SQLITE
def test_an_attempt_keeps_so_many_lines_and_the_next_one_as_many_again(database: Database) -> None:
    claim = _claimed(database)
    _say(database, claim, range(1, logs.MOST_LINES + 8), NOW + timedelta(days=1))
    with database.write() as session:
        attempts.crash(session, queue.lock(session, Job, claim), 1, "its process was killed", NOW)
        claimed = queue.claim_cohort(session, "agt_1", ("auto",), NOW + timedelta(days=1))
    assert claimed is not None

    _say(database, claimed.claims[0], range(1, 3), text="again")

    kept = _kept(database, claim.id)
    assert kept[-3:] == [
        "the attempt ended (its process was killed); back in the queue after 0.5 s, to be trained alone",
        "again 1",
        "again 2",
    ]
    assert len(kept) == logs.MOST_LINES + 3


@SQLITE
def test_a_long_line_is_cut_and_one_that_steers_terminals_is_disarmed(database: Database) -> None:
    claim = _claimed(database)

    _say(database, claim, range(1, 2), text="x" * 100_000)
    _say(database, claim, range(2, 3), text="\x1b[2J\n\0")

    long, odd = _kept(database, claim.id)
    assert (len(long), long[-1]) == (logs.LONGEST_LINE + 1, "…")
    assert odd == r"\x1b[2J\n\x00 2"


def test_a_failure_and_a_cancel_are_told_in_the_log(database: Database) -> None:
    claim = _claimed(database)

    with database.write() as session:
        job = queue.lock(session, Job, claim)
        attempts.fail(session, job, "diverged", "the loss was not finite", "a smaller learning_rate", NOW)

    with database.read() as session:
        (line,) = logs.page(session, claim.id, 0, 10)
        assert (line.level, line.attempt, line.message) == ("error", 1, "the loss was not finite; a smaller learning_rate")


def test_a_job_that_is_removed_takes_its_log_with_it(database: Database) -> None:
    claim = _claimed(database)
    _say(database, claim, range(1, 4))

    with database.write() as session:
        assert set(logs.since(session, 0).values()) == {claim.id}
        session.execute(delete(Job))

    with database.read() as session:
        assert logs.last_id(session) == 0
