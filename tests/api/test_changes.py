"""Changing and trying again: merge patches, versions that guard them, and retries."""

from typing import Any

import pytest
from sqlalchemy import select

from counterweight.contracts.jobs import JobState
from service.persistence import queue
from service.persistence.database import Database
from service.persistence.tables import Event, Job
from tests.api.conftest import Api
from tests.factories import make_agent, make_dataset, make_job, next_moment

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PATCH = {"Content-Type": "application/merge-patch+json"}


def change(api: Api, path: str, headers: dict[str, str] | None = None, **patch: Any) -> Any:
    return api.ask("PATCH", f"/api/v1/{path}", json=patch, headers=PATCH | (headers or {}))


def test_what_is_left_out_stays_and_a_label_that_is_null_goes(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, name="old", labels={"a": "1", "b": "2"})

    answer = change(api, f"jobs/{job.id}", labels={"a": None, "c": "3", "never": None})

    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["name"], shown["labels"], shown["spec"]["labels"]) == ("old", {"b": "2", "c": "3"}, {"b": "2", "c": "3"})
    assert shown["version"] == job.version + 1
    assert api.get(f"/api/v1/jobs/{job.id}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


def test_a_dataset_is_named_and_labelled(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    first = change(api, f"datasets/{dataset.id}", name=" new ", labels={"a": "1"})
    second = change(api, f"datasets/{dataset.id}", labels=None)

    assert (first.json()["name"], first.json()["labels"], first.headers["etag"]) == ("new", {"a": "1"}, '"2"')
    assert (second.json()["labels"], second.json()["version"]) == ({}, 3)


def test_a_higher_priority_is_claimed_first(api: Api, database: Database) -> None:
    with database.write() as session:
        agent, dataset = make_agent(session), make_dataset(session)
        make_job(session, dataset)
        urgent = make_job(session, dataset)

    change(api, f"jobs/{urgent.id}", priority=99)

    with database.write() as session:
        claimed = queue.claim_cohort(session, agent.id, ["auto"], next_moment())
        assert claimed is not None
        assert claimed.claims[0].id == urgent.id


@SQLITE
def test_a_change_is_logged_and_none_is_none(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, name="same")

    nothing = [change(api, f"jobs/{job.id}"), change(api, f"jobs/{job.id}", name="same", labels={})]
    change(api, f"jobs/{job.id}", name="other", priority=1)

    with database.read() as session:
        logged = session.scalars(select(Event.reason).where(Event.subject == job.id, Event.kind == "edit")).all()
    assert [answer.json()["version"] for answer in nothing] == [job.version] * 2
    assert logged == ["changed name, priority"]


@SQLITE
@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"name": None}, "/name"),
        ({"name": ""}, "/name"),
        ({"priority": 101}, "/priority"),
        ({"priority": None}, "/priority"),
        ({"state": "cancelled"}, "/state"),
        ({"labels": {"a b": "c"}}, "/labels/a b"),
        ({"labels": {"a": 1}}, "/labels/a"),
        ({"labels": {f"k{number}": "v" for number in range(65)}}, "/labels"),
    ],
)
def test_what_cannot_be_changed_is_pointed_at(api: Api, database: Database, patch: dict[str, Any], pointer: str) -> None:
    with database.write() as session:
        job = make_job(session)

    answer = change(api, f"jobs/{job.id}", **patch)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert api.get(f"/api/v1/jobs/{job.id}").json()["version"] == job.version


@SQLITE
@pytest.mark.parametrize("content_type", ["application/json", "application/json-patch+json", "text/plain", ""])
def test_a_change_comes_as_a_merge_patch(api: Api, database: Database, content_type: str) -> None:
    with database.write() as session:
        job = make_job(session)

    answer = api.ask("PATCH", f"/api/v1/jobs/{job.id}", content=b'{"name": "x"}', headers={"Content-Type": content_type})

    assert answer.status_code == 415
    assert "application/merge-patch+json" in answer.json()["detail"]


def test_a_change_of_what_has_changed_meanwhile_is_refused(api: Api, database: Database) -> None:
    with database.write() as session:
        job, dataset = make_job(session, state="running"), make_dataset(session)

    for path in (f"jobs/{job.id}", f"datasets/{dataset.id}"):
        tag = api.get(f"/api/v1/{path}").headers["etag"]
        answers = [change(api, path, {"If-Match": tag}, name=name) for name in ("first", "second")]

        assert [answer.status_code for answer in answers] == [200, 412]
        assert answers[1].json()["code"] == "stale_version"
        assert api.get(f"/api/v1/{path}").json()["name"] == "first"


@SQLITE
@pytest.mark.parametrize(("header", "status"), [("*", 200), ('"1"', 200), ('"9", W/"1-abc"', 200), ('"9"', 412), ("1", 412), ('"x"', 412)])
def test_if_match_names_versions(api: Api, database: Database, header: str, status: int) -> None:
    with database.write() as session:
        job = make_job(session)

    assert change(api, f"jobs/{job.id}", {"If-Match": header}, name="x").status_code == status


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_retry_is_a_new_job_with_the_same_spec(api: Api, database: Database, state: JobState) -> None:
    with database.write() as session:
        old = make_job(session, state=state, labels={"a": "1"}, loss={"kind": "focal", "gamma": 1.5}, priority=7)

    answer = api.post(f"/api/v1/jobs/{old.id}/retry")

    new = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1/jobs/{new['id']}")
    assert (new["state"], new["retry_of"], new["labels"]) == ("queued", old.id, {"a": "1"})
    shown = api.get(f"/api/v1/jobs/{old.id}").json()
    assert all(new[field] == shown[field] for field in ("spec", "loss", "dataset"))
    assert api.get("/api/v1/jobs", params={"filter": "loss.gamma = 1.5"}).json()["data"][0]["id"] == new["id"]


def test_a_retry_is_made_once_for_one_key(api: Api, database: Database) -> None:
    with database.write() as session:
        old, other = make_job(session, state="failed"), make_job(session, state="failed")
    once = {"Idempotency-Key": "k"}

    answers = [api.post(f"/api/v1/jobs/{job.id}/retry", headers=once) for job in (old, old, other)]

    assert [answer.status_code for answer in answers] == [201, 201, 422]
    assert answers[0].content == answers[1].content
    with database.read() as session:
        assert len(session.scalars(select(Job.id)).all()) == 3


@SQLITE
@pytest.mark.parametrize(("state", "allowed"), [("queued", ["cancel", "pause"]), ("running", ["cancel", "pause"]), ("cancelling", [])])
def test_what_goes_on_is_not_tried_again(api: Api, database: Database, state: JobState, allowed: list[str]) -> None:
    with database.write() as session:
        job = make_job(session, state=state)

    answer = api.post(f"/api/v1/jobs/{job.id}/retry")

    assert (answer.status_code, answer.json()["allowed_actions"]) == (409, allowed)
