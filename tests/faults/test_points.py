"""At each point of an API process: what was not acknowledged is there once when it is asked for again, and nothing else is left."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from counterweight.crashpoints import KILL, arm
from service.persistence import housekeeping
from service.persistence.database import Database
from service.persistence.tables import Dataset, Job
from tests.conftest import BACKENDS, fresh_database
from tests.factories import make_dataset, make_job
from tests.faults.answering import Service
from tests.faults.campaign import API, ERRORS

UPLOADS = [(point, KILL) for point in API if point.startswith("upload")] + [shot for shot in ERRORS if shot[0].startswith("upload")]
WRITES = [point for point in API if point.startswith(("write", "submission"))]


@pytest.fixture(scope="module", params=BACKENDS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("points")
    (folder / "armed").mkdir()
    with fresh_database(request.param, folder, request) as url:
        yield Service(url, folder)


@pytest.fixture
def database(service: Service) -> Iterator[Database]:
    with closing(Database(service.database_url)) as database:
        yield database


@pytest.mark.parametrize(("point", "what"), UPLOADS)
def test_an_upload_cut_short_is_kept_once_when_it_is_sent_again(service: Service, database: Database, point: str, what: str) -> None:
    table = f"age,label\n1,good\n2,bad\n3,{point}\n4,{what}\n".encode()
    upload: dict[str, Any] = {"content": table, "headers": {"Idempotency-Key": f"{point}-{what}", "Content-Type": "text/csv"}}
    arm(service.armed, point, what)

    first = service.ask("POST", "/datasets", **upload)
    second, third = service.ask("POST", "/datasets", times=2, **upload)

    assert list(service.armed.iterdir()) == []
    assert [answer.status >= 500 for answer in first] == ([] if what == KILL else [True])
    assert second == third
    assert second.status in (200, 202)
    housekeeping.tidy(database, service.files, datetime.now(UTC) + timedelta(days=2))
    with database.read() as session:
        (dataset,) = session.scalars(select(Dataset).where(Dataset.sha256 == hashlib.sha256(table).hexdigest()))
        sources = set(session.scalars(select(Dataset.source_path)))
    assert dataset.id == second.body["id"]
    assert service.files.path(dataset.source_path).read_bytes() == table
    left = {f"datasets/{path.name}" for path in (service.files.folder / "datasets").iterdir()}
    assert left <= {source.rpartition("/")[0] for source in sources}
    assert list((service.files.folder / "incoming").iterdir()) == []


@pytest.mark.parametrize("point", WRITES)
def test_a_submission_cut_short_is_one_job_when_it_is_sent_again(service: Service, database: Database, point: str) -> None:
    with database.write() as session:
        dataset_id = make_dataset(session, now=datetime.now(UTC)).id
    submission: dict[str, Any] = {"json": {"dataset_id": dataset_id}, "headers": {"Idempotency-Key": point}}
    arm(service.armed, point)

    first = service.ask("POST", "/jobs", **submission)
    second, third = service.ask("POST", "/jobs", times=2, **submission)

    assert list(service.armed.iterdir()) == []
    assert first == []
    assert second == third
    with database.read() as session:
        (job,) = session.scalars(select(Job).where(Job.dataset_id == dataset_id))
    assert (job.id, second.status) == (second.body["id"], 201)


def test_a_deletion_cut_short_leaves_no_files(service: Service, database: Database) -> None:
    with database.write() as session:
        job_id = make_job(session, make_dataset(session, now=datetime.now(UTC)), state="cancelled").id
    service.files.make_folder(f"jobs/{job_id}/1").joinpath("model.safetensors").write_bytes(b"weights")
    arm(service.armed, "deletion.committed")

    first = service.ask("DELETE", f"/jobs/{job_id}")
    (second,) = service.ask("DELETE", f"/jobs/{job_id}")

    assert list(service.armed.iterdir()) == []
    assert first == []
    assert second.status == 404
    housekeeping.tidy(database, service.files, datetime.now(UTC) + timedelta(days=2))
    assert not service.files.path(f"jobs/{job_id}").exists()
