"""Long-polls: held until something changes, never longer, and never past a change."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from service.persistence import events
from service.persistence.database import Database
from service.persistence.tables import Dataset, Job
from tests.api.conftest import Poll, Process, until_waiting
from tests.factories import make_dataset, make_job


@pytest.fixture(scope="module")
def record(server: Process) -> Iterator[Database]:
    database = Database(server.database_url)
    yield database
    database.close()


def _cancel(database: Database, job_id: str) -> None:
    with database.write() as session:
        events.move_job(session, session.get_one(Job, job_id), "cancelled", "test", datetime.now(UTC))


def test_a_poll_ends_when_the_job_changes(process: Process, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
    poll = Poll(f"{process.url}/api/v1/jobs/{job.id}", wait=30, since_version=job.version)
    until_waiting(process)

    _cancel(database, job.id)

    assert poll.join().json()["state"] == "cancelled"
    assert poll.seconds < 20


def test_without_a_version_a_poll_waits_for_the_next_change(server: Process, record: Database) -> None:
    with record.write() as session:
        job = make_job(session)
    poll = Poll(f"{server.url}/api/v1/jobs/{job.id}", wait=30)
    until_waiting(server)

    _cancel(record, job.id)

    assert poll.join().json()["state"] == "cancelled"


def test_a_poll_for_a_dataset_ends_when_it_is_read(server: Process, record: Database) -> None:
    with record.write() as session:
        dataset = make_dataset(session, state="processing")
    poll = Poll(f"{server.url}/api/v1/datasets/{dataset.id}", wait=30, since_version=1)
    until_waiting(server)

    with record.write() as session:
        events.move_dataset(session, session.get_one(Dataset, dataset.id), "failed", "test", datetime.now(UTC))

    assert poll.join().json()["state"] == "failed"


def test_a_poll_without_news_ends_with_what_there_is(server: Process, record: Database) -> None:
    with record.write() as session:
        job = make_job(session)

    poll = Poll(f"{server.url}/api/v1/jobs/{job.id}", wait=0.3, since_version=job.version)

    assert (poll.join().status_code, poll.join().json()["version"]) == (200, job.version)
    assert poll.seconds >= 0.3


def test_what_is_final_or_newer_or_absent_is_answered_at_once(server: Process, record: Database) -> None:
    with record.write() as session:
        over, going = make_job(session, state="succeeded"), make_job(session)
        ready = make_dataset(session)
    asked: dict[str, dict[str, object]] = {
        f"jobs/{over.id}": {"wait": 30},
        f"jobs/{going.id}": {"wait": 30, "since_version": 0},
        f"datasets/{ready.id}": {"wait": 30},
        "jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV": {"wait": 30},
    }

    polls = [Poll(f"{server.url}/api/v1/{path}", **params) for path, params in asked.items()]

    assert [poll.join().status_code for poll in polls] == [200, 200, 200, 404]
    assert max(poll.seconds for poll in polls) < 10


@pytest.mark.parametrize("params", ["wait=61", "wait=-1", "wait=x", "wait=nan", "since_version=-1", "since_version=99999999999999999999"])
def test_a_wait_has_bounds(server: Process, params: str) -> None:
    assert server.client.get(f"/api/v1/jobs/job_1?{params}").status_code == 422


def test_many_polls_on_many_jobs_all_end(server: Process, record: Database) -> None:
    with record.write() as session:
        dataset = make_dataset(session)
        made = [make_job(session, dataset) for _ in range(3)]
    polls = [Poll(f"{server.url}/api/v1/jobs/{made[turn % 3].id}", wait=30, since_version=1) for turn in range(30)]

    for job in made:
        _cancel(record, job.id)

    assert {poll.join().json()["state"] for poll in polls} == {"cancelled"}


def test_a_change_between_looking_and_waiting_is_not_missed(server: Process, record: Database) -> None:
    """Ask and change at the same moment, over and over: whichever comes first, the poll ends."""
    with record.write() as session:
        dataset = make_dataset(session)
        made = [make_job(session, dataset) for _ in range(20)]

    for job in made:
        poll = Poll(f"{server.url}/api/v1/jobs/{job.id}", wait=30, since_version=job.version)
        _cancel(record, job.id)

        assert poll.join().json()["state"] == "cancelled"
        assert poll.seconds < 10


def measure(action: Callable[[], object]) -> float:
    started = time.monotonic()
    action()
    return time.monotonic() - started


def test_polls_do_not_hold_up_others(server: Process, record: Database) -> None:
    """More polls than the server has threads: a waiting client takes none."""
    with record.write() as session:
        job = make_job(session)
    polls = [Poll(f"{server.url}/api/v1/jobs/{job.id}", wait=30, since_version=job.version) for _ in range(60)]
    until_waiting(server)

    seconds = measure(lambda: server.client.get(f"/api/v1/jobs/{job.id}"))

    _cancel(record, job.id)
    assert [poll.join().status_code for poll in polls] == [200] * 60
    assert seconds < 5
