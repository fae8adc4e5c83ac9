"""The log of a job over HTTP: page by page, and as it grows."""

from datetime import UTC, datetime

import pytest

from counterweight.contracts.jobs import JobState
from service.persistence import logs
from service.persistence.database import Database
from service.persistence.tables import Job
from tests.api.conftest import Api, Poll, Process, until_waiting
from tests.factories import make_job, make_project

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def make_log(database: Database, lines: int, state: JobState = "running") -> str:
    with database.write() as session:
        job = make_job(session, state=state)
        for line in range(1, lines + 1):
            logs.say(session, job, "info", f"line {line}", datetime(2026, 1, 1, tzinfo=UTC))
        return job.id


def test_a_log_is_read_page_by_page(api: Api, database: Database) -> None:
    job_id = make_log(database, 5)

    first = api.get(f"/api/v1/jobs/{job_id}/logs", params={"limit": 3}).json()
    rest = api.get(f"/api/v1/jobs/{job_id}/logs", params={"limit": 3, "after": first["next"]}).json()

    assert [line["message"] for line in first["data"] + rest["data"]] == [f"line {line}" for line in range(1, 6)]
    assert first["data"][0] | {"id": 0} == {
        "id": 0,
        "time": "2026-01-01T00:00:00.000Z",
        "level": "info",
        "attempt": 1,
        "message": "line 1",
    }
    assert (first["next"], rest["next"], rest["is_final"], rest["dropped"]) == (str(first["data"][-1]["id"]), None, False, 0)


@SQLITE
def test_the_log_of_a_job_that_ended_is_final_with_its_last_page(api: Api, database: Database) -> None:
    job_id = make_log(database, 3, "succeeded")

    pages = [api.get(f"/api/v1/jobs/{job_id}/logs", params={"limit": limit}).json() for limit in (2, 3)]

    assert [page["is_final"] for page in pages] == [False, True]


@SQLITE
def test_a_job_of_another_project_has_no_log(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session)
        job.project_id = make_project(session).id

    assert api.get(f"/api/v1/jobs/{job.id}/logs").status_code == 404


@SQLITE
@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=9999999999999999999999", "limit=0", "limit=201", "wait=61", "since=3"])
def test_what_cannot_be_meant_is_refused(api: Api, database: Database, query: str) -> None:
    assert api.get(f"/api/v1/jobs/{make_log(database, 1)}/logs?{query}").status_code == 422


def test_who_waits_for_a_line_gets_it_when_it_is_said(process: Process, database: Database) -> None:
    job_id = make_log(database, 1)
    path = f"/api/v1/jobs/{job_id}/logs"
    known = process.client.get(path).json()["data"][-1]["id"]

    poll = Poll(f"{process.url}{path}", after=known, wait=30)
    until_waiting(process)

    with database.write() as session:
        logs.say(session, session.get_one(Job, job_id), "warning", "at last", datetime(2026, 1, 1, tzinfo=UTC))

    assert [line["message"] for line in poll.join().json()["data"]] == ["at last"]
    assert poll.seconds < 20
