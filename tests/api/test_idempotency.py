"""Idempotency keys: one key, one thing, one answer."""

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from service.domain.errors import NotReady
from service.persistence import idempotency
from service.persistence.database import Database
from service.persistence.tables import DEFAULT_PROJECT, IdempotentAnswer, Job
from tests.api.conftest import Api
from tests.factories import make_dataset, make_project

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ONCE = {"Idempotency-Key": "k-1"}


def test_a_repeat_is_answered_with_the_first_answer(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    first = api.submit(dataset.id, headers=ONCE)

    again = api.submit(dataset.id, headers=ONCE)

    assert (again.status_code, again.content, again.headers["location"]) == (201, first.content, first.headers["location"])
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")


def test_a_repeat_makes_nothing(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    for _ in range(3):
        api.submit(dataset.id, headers=ONCE)

    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 1


@SQLITE
def test_the_spelling_of_a_request_does_not_matter(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    api.submit(dataset.id, headers=ONCE)

    again = api.submit(dataset.id, priority=50, loss={"kind": "cross_entropy"}, headers=ONCE)

    assert again.headers["idempotency-replayed"] == "true"


@SQLITE
def test_a_key_used_for_something_else_is_refused(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    api.submit(dataset.id, headers=ONCE)

    other = api.submit(dataset.id, priority=51, headers=ONCE)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_an_upload_is_repeated_by_its_content(api: Api) -> None:
    def upload(content: bytes) -> tuple[int, str | None]:
        answer = api.post("/api/v1/datasets", content=content, headers=ONCE | {"Content-Type": "text/csv"})
        return answer.status_code, answer.headers.get("idempotency-replayed")

    assert [upload(b"a,b\n1,2\n"), upload(b"a,b\n1,2\n"), upload(b"a,b\n1,3\n")] == [(202, None), (202, "true"), (422, None)]


@SQLITE
def test_a_key_of_one_route_does_not_fit_another(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    api.submit(dataset.id, headers=ONCE)

    assert api.post("/api/v1/datasets", content=b"a\n1\n", headers=ONCE | {"Content-Type": "text/csv"}).status_code == 422


@SQLITE
def test_a_refusal_is_not_kept(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session, state="processing")
    refused = api.submit(dataset.id, headers=ONCE).status_code
    with database.write() as session:
        ready = make_dataset(session)

    assert (refused, api.submit(ready.id, headers=ONCE).status_code) == (409, 201)


@SQLITE
@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "schlüssel"])
def test_a_strange_key_is_refused(api: Api, key: str) -> None:
    answer = api.post("/api/v1/jobs", json={"dataset_id": "x"}, headers=[(b"Idempotency-Key", key.encode())])

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/Idempotency-Key"


@SQLITE
def test_the_longest_key_is_taken(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    assert api.submit(dataset.id, headers={"Idempotency-Key": "x" * 255}).status_code == 201


@SQLITE
def test_keys_of_two_projects_are_apart(database: Database) -> None:
    now, answer = datetime.now(UTC), idempotency.Answer(201, "/x", "{}")
    with database.write() as session:
        other = make_project(session).id
        idempotency.keep(session, DEFAULT_PROJECT, "k", "f", answer, now)
        session.flush()

        assert idempotency.find(session, other, "k", "g") is None


def test_the_answer_is_kept_in_the_transaction_that_made_the_thing(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    def fail(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(idempotency, "keep", fail)
    failed = api.submit(dataset.id, headers=ONCE).status_code

    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (Job, IdempotentAnswer)]

    assert (failed, counts) == (500, [0, 0])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_repeat_while_the_first_is_under_way_is_told_to_come_again(database: Database) -> None:
    with database.write() as first:
        idempotency.find(first, DEFAULT_PROJECT, "k", "f")

        with database.write() as second, pytest.raises(NotReady) as refusal:
            idempotency.find(second, DEFAULT_PROJECT, "k", "f")

    assert refusal.value.code == "idempotency_in_flight"


@SQLITE
def test_a_repeat_while_the_first_is_under_way_waits_for_it(database: Database) -> None:
    """SQLite lets one writer in at a time."""
    found: list[idempotency.Answer | None] = []

    def repeat() -> None:
        with database.write() as session:
            found.append(idempotency.find(session, DEFAULT_PROJECT, "k", "f"))

    with database.write() as first:
        assert idempotency.find(first, DEFAULT_PROJECT, "k", "f") is None
        thread = threading.Thread(target=repeat)
        thread.start()
        idempotency.keep(first, DEFAULT_PROJECT, "k", "f", idempotency.Answer(201, "/x", "{}"), datetime.now(UTC))
    thread.join()

    assert found == [idempotency.Answer(201, "/x", "{}", replayed=True)]
