"""A job's files over HTTP: whole, in part, and nothing else of the disk."""

import base64
import hashlib

import pytest

from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Artifact
from tests.api.conftest import Api
from tests.factories import make_job, make_project

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CONTENT = bytes(range(256)) * 4000
"""More than one piece."""


def make_artifact(database: Database, files: Files, name: str = "model.safetensors", content: bytes = CONTENT) -> str:
    """Keep a file of a job; return the address of the job's files."""
    with database.write() as session:
        job = make_job(session, state="succeeded")
        folder = files.make_folder(f"jobs/{job.id}/1")
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        session.add(Artifact(job_id=job.id, name=name, path=f"jobs/{job.id}/1/{name}", bytes=len(content), sha256=digest))
        return f"/api/v1/jobs/{job.id}/artifacts"


def test_files_are_listed_with_size_and_digest(api: Api, database: Database, files: Files) -> None:
    address = make_artifact(database, files)

    assert api.get(address).json() == {
        "data": [
            {
                "name": "model.safetensors",
                "bytes": len(CONTENT),
                "sha256": hashlib.sha256(CONTENT).hexdigest(),
                "media_type": "application/octet-stream",
                "links": {"self": f"{address}/model.safetensors"},
            }
        ],
        "next": None,
    }


def test_a_file_is_sent_whole_with_its_digest_to_be_saved_and_never_shown(api: Api, database: Database, files: Files) -> None:
    answer = api.get(f"{make_artifact(database, files)}/model.safetensors")

    digest = hashlib.sha256(CONTENT)
    assert (answer.status_code, answer.content == CONTENT) == (200, True)
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-disposition"] == 'attachment; filename="model.safetensors"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"


@SQLITE
@pytest.mark.parametrize(
    ("asked", "part"), [("bytes=0-9", slice(0, 10)), ("bytes=700000-", slice(700000, None)), ("bytes=-5", slice(-5, None))]
)
def test_a_part_is_sent_alone(api: Api, database: Database, files: Files, asked: str, part: slice) -> None:
    answer = api.get(f"{make_artifact(database, files)}/model.safetensors", headers={"Range": asked})

    wanted = CONTENT[part]
    first = CONTENT.index(wanted) if part.start == 0 else len(CONTENT) - len(wanted)
    assert (answer.status_code, answer.content == wanted) == (206, True)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(wanted) - 1}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(len(wanted))


@SQLITE
def test_a_part_that_is_not_there_is_refused_with_the_size(api: Api, database: Database, files: Files) -> None:
    answer = api.get(f"{make_artifact(database, files)}/model.safetensors", headers={"Range": f"bytes={len(CONTENT)}-"})

    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@SQLITE
def test_many_ranges_cost_no_more_than_the_file(api: Api, database: Database, files: Files) -> None:
    answer = api.get(f"{make_artifact(database, files)}/model.safetensors", headers={"Range": "bytes=" + ",".join(["0-"] * 5000)})

    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


@SQLITE
def test_a_part_of_another_file_is_not_gone_on_with(api: Api, database: Database, files: Files) -> None:
    address = f"{make_artifact(database, files)}/model.safetensors"
    etag = api.get(address).headers["etag"]

    same = api.get(address, headers={"Range": "bytes=5-", "If-Range": etag})
    other = api.get(address, headers={"Range": "bytes=5-", "If-Range": '"other"'})

    assert (same.status_code, other.status_code) == (206, 200)


@SQLITE
def test_a_file_that_is_known_is_not_sent_again(api: Api, database: Database, files: Files) -> None:
    address = f"{make_artifact(database, files)}/model.safetensors"

    again = api.get(address, headers={"If-None-Match": api.get(address).headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


@SQLITE
def test_an_empty_file_is_sent_as_such(api: Api, database: Database, files: Files) -> None:
    answer = api.get(f"{make_artifact(database, files, 'empty.json', b'')}/empty.json")

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", "application/json")


@SQLITE
@pytest.mark.parametrize(
    "name",
    [
        *(
            "other.bin",
            "%2e%2e",
            "..%2fmodel.safetensors",
            "%2fetc%2fpasswd",
            "%252e%252e",
            "model.safetensors%00",
            "model.safetensors;a",
        ),
        *("1%2fmodel.safetensors", "MODEL.SAFETENSORS", "%ff", "a" * 4000, "..%5cmodel.safetensors"),
    ],
)
def test_a_name_that_is_not_on_record_finds_nothing(api: Api, database: Database, files: Files, name: str) -> None:
    answer = api.get(f"{make_artifact(database, files)}/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert str(files.folder) not in answer.text


@SQLITE
def test_a_file_of_another_project_is_not_there(api: Api, database: Database) -> None:
    with database.write() as session:
        job = make_job(session, state="succeeded")
        job.project_id = make_project(session).id

    assert api.get(f"/api/v1/jobs/{job.id}/artifacts").status_code == 404
    assert api.get(f"/api/v1/jobs/{job.id}/artifacts/model.safetensors").status_code == 404


@SQLITE
def test_a_file_that_is_gone_from_the_disk_is_our_failure_and_its_path_is_not_told(api: Api, database: Database, files: Files) -> None:
    address = f"{make_artifact(database, files)}/model.safetensors"
    next(files.folder.rglob("model.safetensors")).unlink()

    answer = api.get(address)

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert str(files.folder) not in answer.text
