"""Jobs submitted at the same moment share a transaction, and nothing else."""

from collections.abc import Sequence
from typing import Any

import httpx
from sqlalchemy import event, func, select

from service.persistence.database import Database
from service.persistence.tables import Event, Job
from tests.api.conftest import Api
from tests.factories import make_dataset

ONCE = {"Idempotency-Key": "k-1"}


def _dataset(database: Database) -> str:
    with database.write() as session:
        return make_dataset(session).id


def _submit_at_once(api: Api, bodies: Sequence[dict[str, Any]], headers: dict[str, str] | None = None) -> list[httpx.Response]:
    return api.ask_at_once(("POST", "/api/v1/jobs", {"json": body, "headers": headers}) for body in bodies)


def _count(database: Database, table: type[Job | Event]) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_they_share_a_commit(api: Api, database: Database) -> None:
    dataset_id = _dataset(database)
    commits: list[Any] = []
    event.listen(database.writer, "commit", commits.append)

    answers = _submit_at_once(api, [{"dataset_id": dataset_id, "name": f"job {number}"} for number in range(20)])

    assert [answer.json()["name"] for answer in answers] == [f"job {number}" for number in range(20)]
    assert _count(database, Job) == 20
    assert 1 <= len(commits) < 20 / 2


def test_each_is_told_its_own_place_in_line(api: Api, database: Database) -> None:
    dataset_id = _dataset(database)

    answers = _submit_at_once(api, [{"dataset_id": dataset_id}] * 6)

    assert sorted(answer.json()["queue"]["position"] for answer in answers) == list(range(6))


def test_one_that_is_refused_takes_no_other_with_it(api: Api, database: Database) -> None:
    known = {"dataset_id": _dataset(database)}
    wrong: list[dict[str, Any]] = [
        {"dataset_id": "ds_of_nobody"},
        known | {"target": "age"},
        known | {"loss": {"kind": "focal", "alpha": {"good": 1.0}}},
    ]

    answers = _submit_at_once(api, [known, wrong[0], known, wrong[1], known, wrong[2], known])

    assert [answer.status_code for answer in answers] == [201, 404, 201, 422, 201, 422, 201]
    assert _count(database, Job) == 4


def test_one_key_at_the_same_moment_makes_one_job(api: Api, database: Database) -> None:
    dataset_id = _dataset(database)

    answers = _submit_at_once(api, [{"dataset_id": dataset_id}] * 3, ONCE)

    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotency-replayed", "") for answer in answers) == ["", "true", "true"]
    assert _count(database, Job) == 1


def test_where_they_cannot_be_made_together_each_is_made_by_itself(api: Api, database: Database) -> None:
    dataset_id, events_before = _dataset(database), _count(database, Event)

    failed = []

    def fail_for_several(*call: Any) -> None:
        values, is_many = call[3], call[5]
        # On PostgreSQL all rows are one value.
        if call[2].startswith("INSERT INTO jobs") and (is_many if database.is_sqlite else len(values["rows"].obj) > 1):
            failed.append(values)
            raise RuntimeError("no two jobs at once")

    event.listen(database.writer, "before_cursor_execute", fail_for_several)

    answers = _submit_at_once(api, [{"dataset_id": dataset_id}] * 5)

    assert failed
    assert [answer.status_code for answer in answers] == [201] * 5
    assert (_count(database, Job), _count(database, Event) - events_before) == (5, 5)
