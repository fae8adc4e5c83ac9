"""An answer means committed: what cannot be committed is not answered as done."""

import pytest
from sqlalchemy import event

from service.persistence.database import Database
from tests.api.conftest import Api
from tests.factories import make_dataset


def _fail(_session: object) -> None:
    raise RuntimeError("the commit fails")


def test_a_job_whose_commit_fails_is_not_answered_as_made(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    event.listen(database._writes.class_, "before_commit", _fail)

    answer = api.submit(dataset.id)

    event.remove(database._writes.class_, "before_commit", _fail)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert api.get("/api/v1/jobs").json()["data"] == []


def test_an_upload_whose_commit_fails_is_not_answered_as_made(api: Api, database: Database) -> None:
    event.listen(database._writes.class_, "before_commit", _fail)

    answer = api.upload()

    event.remove(database._writes.class_, "before_commit", _fail)
    assert answer.status_code == 500
    assert api.get("/api/v1/datasets").json()["data"] == []


def test_a_write_is_seen_by_the_next_read(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    for _ in range(5):
        job_id = api.submit(dataset.id).json()["id"]

        assert api.get(f"/api/v1/jobs/{job_id}").status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_reading_takes_no_write_lock(api: Api, database: Database) -> None:
    with database.write() as session:
        make_dataset(session)

        assert api.get("/api/v1/jobs").status_code == 200
