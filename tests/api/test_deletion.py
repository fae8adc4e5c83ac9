"""Deleting: everything goes but what something else needs, and nothing is left behind by a power cut."""

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from counterweight.contracts.jobs import JobState
from service.persistence import deletion, housekeeping
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Artifact, Attempt, Dataset, Event, FinalMetric, Job, MetricPoint, Model, Series, Table
from tests.api.conftest import Api
from tests.factories import add_points, make_dataset, make_job, next_moment

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def write(files: Files, *paths: str) -> None:
    for path in paths:
        files.path(path).parent.mkdir(parents=True, exist_ok=True)
        files.path(path).write_bytes(b"12345")


def on_disk(files: Files) -> set[str]:
    return {str(path.relative_to(files.folder)) for path in files.folder.rglob("*") if path.name != "incoming"}


def finished(database: Database) -> str:
    """A job with something in every table."""
    with database.write() as session:
        job = make_job(session, state="succeeded")
        add_points(session, job, "train/loss", [1.0, 0.5])
        session.add(Series(job_id=job.id, name="train/loss", value=0.5, best=0.5, best_epoch=2, goal="min"))
        session.add(FinalMetric(job_id=job.id, name="test/mcc", value=0.5))
        session.add(Model(id="mdl_1", project_id=job.project_id, job_id=job.id, created_at=next_moment()))
        session.add(Artifact(job_id=job.id, name="model.json", path=f"jobs/{job.id}/1/model.json", bytes=5, sha256="x"))
        return job.id


def test_a_deleted_job_leaves_nothing(api: Api, database: Database, files: Files) -> None:
    job_id = finished(database)
    write(files, f"jobs/{job_id}/1/model.json", f"jobs/{job_id}/1/deep/er", "jobs/other/1/model.json")

    answer = api.ask("DELETE", f"/api/v1/jobs/{job_id}")

    assert (answer.status_code, answer.json()) == (
        200,
        {"id": job_id, "object": "job", "deleted": True, "files": 2, "bytes": 10, "kept": []},
    )
    assert api.get(f"/api/v1/jobs/{job_id}").status_code == 404
    assert on_disk(files) == {"jobs", "jobs/other", "jobs/other/1", "jobs/other/1/model.json"}
    with database.read() as session:
        tables = (Job, Attempt, MetricPoint, Series, FinalMetric, Model, Artifact)
        assert [session.scalar(select(func.count()).select_from(table)) for table in tables] == [0] * len(tables)
        assert session.scalars(select(Event.kind).where(Event.subject == job_id)).all() == ["deletion"]


def test_every_table_that_points_to_a_job_goes_with_it() -> None:
    pointing = {
        table.name: key.ondelete
        for table in Table.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name == "jobs"
    }

    assert {name for name, rule in pointing.items() if rule != "CASCADE"} == {"models"}


@SQLITE
def test_a_dry_run_says_what_would_go_and_keeps_it(api: Api, database: Database, files: Files) -> None:
    job_id = finished(database)
    write(files, f"jobs/{job_id}/1/model.json")
    before = on_disk(files)

    answer = api.ask("DELETE", f"/api/v1/jobs/{job_id}?dry_run=true")

    assert (answer.status_code, answer.json()["deleted"], answer.json()["files"]) == (200, False, 1)
    assert on_disk(files) == before
    assert api.get(f"/api/v1/jobs/{job_id}").status_code == 200


@SQLITE
@pytest.mark.parametrize(("state", "allowed"), [("queued", ["cancel", "pause"]), ("running", ["cancel", "pause"]), ("cancelling", [])])
def test_a_job_that_goes_on_is_not_deleted(api: Api, database: Database, state: JobState, allowed: list[str]) -> None:
    with database.write() as session:
        job_id = make_job(session, state=state).id

    for path in (f"/api/v1/jobs/{job_id}", f"/api/v1/jobs/{job_id}?dry_run=true"):
        answer = api.ask("DELETE", path)
        assert (answer.status_code, answer.json()["allowed_actions"]) == (409, allowed)


@SQLITE
def test_what_has_changed_meanwhile_is_not_deleted(api: Api, database: Database) -> None:
    with database.write() as session:
        job_id, dataset_id = make_job(session, state="succeeded").id, make_dataset(session).id

    for path in (f"/api/v1/jobs/{job_id}", f"/api/v1/datasets/{dataset_id}"):
        assert api.ask("DELETE", path, headers={"If-Match": '"99"'}).status_code == 412
        assert api.ask("DELETE", path, headers={"If-Match": api.get(path).headers["etag"]}).status_code == 200


@SQLITE
def test_a_repeat_of_a_submission_makes_no_second_job_when_the_first_was_deleted(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset_id = make_dataset(session).id
    once = {"Idempotency-Key": "k"}
    job_id = api.submit(dataset_id, headers=once).json()["id"]
    api.post(f"/api/v1/jobs/{job_id}/cancel")
    api.ask("DELETE", f"/api/v1/jobs/{job_id}")

    again = api.submit(dataset_id, headers=once)

    assert (again.status_code, again.json()["id"], again.headers["idempotency-replayed"]) == (201, job_id, "true")
    assert api.get("/api/v1/jobs").json()["data"] == []


def test_a_dataset_that_a_job_was_made_on_stays_until_the_job_is_deleted(api: Api, database: Database, files: Files) -> None:
    job_id = finished(database)
    dataset_id = api.get(f"/api/v1/jobs/{job_id}").json()["dataset"]["id"]
    write(files, f"datasets/{dataset_id}/source", f"datasets/{dataset_id}/1/table.parquet", f"cache/{dataset_id}/rows")

    refused = api.ask("DELETE", f"/api/v1/datasets/{dataset_id}?dry_run=true")
    api.ask("DELETE", f"/api/v1/jobs/{job_id}")
    gone = api.ask("DELETE", f"/api/v1/datasets/{dataset_id}")

    assert (refused.status_code, job_id in refused.json()["detail"], refused.json()["allowed_actions"]) == (409, True, [])
    assert (gone.status_code, gone.json()["files"]) == (200, 3)
    assert api.get(f"/api/v1/datasets/{dataset_id}").status_code == 404
    assert {path.partition("/")[2] for path in on_disk(files)} == {""}


def test_a_dataset_that_brought_test_rows_stays_and_is_shown(api: Api, database: Database) -> None:
    with database.write() as session:
        test = make_dataset(session)
    with database.write() as session:
        job = make_job(session, test_dataset_id=test.id)

    refused = api.ask("DELETE", f"/api/v1/datasets/{test.id}")

    assert (refused.status_code, job.id in refused.json()["detail"]) == (409, True)
    assert api.get(f"/api/v1/jobs/{job.id}").json()["test_dataset"] == {"id": test.id, "sha256": test.sha256}


def test_uploaded_bytes_stay_as_long_as_a_dataset_reads_them(api: Api, files: Files) -> None:
    origin = api.upload().json()["id"]
    other = api.post("/api/v1/datasets", json={"source_dataset_id": origin, "options": {"header": False}}).json()["id"]
    write(files, f"datasets/{origin}/1/table.parquet", f"datasets/{other}/1/table.parquet")

    first = api.ask("DELETE", f"/api/v1/datasets/{origin}").json()
    between = on_disk(files)
    second = api.ask("DELETE", f"/api/v1/datasets/{other}").json()

    assert (first["files"], first["kept"]) == (1, [f"the uploaded bytes, which {other} read"])
    assert f"datasets/{origin}/source" in between
    assert f"datasets/{origin}/1" not in between
    assert (second["files"], second["kept"]) == (2, [])
    assert on_disk(files) <= {"datasets", "cache", "jobs"}


def test_what_a_kill_left_between_rows_and_files_is_tidied_away(api: Api, database: Database, files: Files) -> None:
    job_id = finished(database)
    origin = api.upload(b"a,b\n1,2\n").json()["id"]
    other = api.post("/api/v1/datasets", json={"source_dataset_id": origin, "options": {"header": False}}).json()["id"]
    write(files, f"jobs/{job_id}/1/model.json", f"datasets/{origin}/1/t", f"datasets/{other}/1/t", f"cache/{origin}/x", "jobs/young/1/m")
    with database.write() as session:
        deletion.delete_job(session, session.get_one(Job, job_id), next_moment())
        deletion.delete_dataset(session, session.get_one(Dataset, origin), next_moment())
    long_ago = (datetime.now(UTC) - timedelta(days=3)).timestamp()
    for path in files.folder.rglob("*"):
        if "young" not in str(path):
            os.utime(path, (long_ago, long_ago))

    housekeeping.tidy(database, files, datetime.now(UTC))

    left = {path for path in on_disk(files) if files.path(path).is_file()}
    assert left == {f"datasets/{origin}/source", f"datasets/{other}/1/t", "jobs/young/1/m"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_submitted_while_its_dataset_is_deleted_finds_none(api: Api, database: Database) -> None:
    with database.write() as session:
        dataset = make_dataset(session)
    answers: list[int] = []
    with database.write() as session:
        deletion.delete_dataset(session, session.get_one(Dataset, dataset.id), next_moment())
        submission = threading.Thread(target=lambda: answers.append(api.submit(dataset.id).status_code))
        submission.start()
        submission.join(timeout=0.5)  # It waits for the lock; were it to come later, it would find nothing anyway.
    submission.join()

    assert answers == [404]
