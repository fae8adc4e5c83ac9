"""Errors: every one is a problem of the closed list, and tells nothing it should not."""

import errno
from pathlib import Path

import pytest

from counterweight.settings import ServerSettings
from service.api.app import make_app
from service.persistence import jobs
from service.persistence.database import Database
from service.persistence.files import Files, Incoming
from tests.api.conftest import Api
from tests.factories import make_dataset

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_an_unknown_path_is_a_problem(api: Api) -> None:
    answer = api.get("/api/v1/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "not_found"


def test_a_trailing_slash_is_another_path(api: Api) -> None:
    assert api.get("/api/v1/jobs/").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "FROB"])
def test_another_method_is_a_problem(api: Api, method: str) -> None:
    answer = api.ask(method, "/api/v1/jobs")

    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"


def test_another_method_is_told_the_ones_there_are(api: Api) -> None:
    assert api.ask("PUT", "/api/v1/jobs").headers["allow"] == "GET, POST"
    assert api.ask("PUT", "/api/v1/jobs/x/cancel").headers["allow"] == "POST"


def test_another_method_is_told_in_a_sentence(api: Api) -> None:
    assert api.ask("PUT", "/api/v1/jobs").json()["detail"] == "PUT is not possible here; this address takes GET and POST"


def test_a_problem_carries_the_request_id_and_path(api: Api) -> None:
    answer = api.get("/api/v1/nothing", headers={"X-Request-Id": "mine-1"})

    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-1"
    assert answer.json()["instance"] == "/api/v1/nothing"


@pytest.mark.parametrize("asked", ["a b", "x" * 129, "évil".encode().decode("latin-1"), "a;b"])
def test_a_strange_request_id_is_replaced(api: Api, asked: str) -> None:
    answer = api.get("/healthz", headers=[(b"X-Request-Id", asked.encode("latin-1"))])

    assert answer.headers["x-request-id"].startswith("req_")


def test_an_unforeseen_error_is_told_without_its_cause(api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the secret is 42")

    monkeypatch.setattr(jobs, "page", fail)

    answer = api.get("/api/v1/jobs")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "the secret is 42" in caplog.text


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_507(api: Api, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def full(*_: object) -> None:
        raise OSError(number, "No space left on device")

    monkeypatch.setattr(Incoming, "write", full)

    answer = api.upload()

    assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")


def test_a_full_disk_leaves_no_file(api: Api, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Incoming, "keep", full)

    api.upload()

    assert [path for path in files.folder.rglob("*") if path.is_file()] == []


def test_a_database_that_is_gone_is_503(settings: ServerSettings, files: Files, tmp_path: Path) -> None:
    api = Api(make_app(settings, Database(f"sqlite:///{tmp_path}/gone/record.db"), files))

    answer = api.get("/api/v1/jobs")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    api.close()


def test_no_problem_names_a_server_path(api: Api, database: Database, files: Files) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    answers = [
        api.get("/api/v1/datasets"),
        api.get(f"/api/v1/datasets/{dataset.id}"),
        api.upload(),
        api.get("/readyz"),
        api.get("/openapi.json"),
    ]

    assert not any(str(files.folder) in answer.text or "source_path" in answer.text for answer in answers)


@pytest.mark.parametrize(
    ("body", "pointer", "told"),
    [
        ({"loss": {"kind": "focal", "gamma": -2}}, "/loss/gamma", "this is -2"),
        ({"priority": "high"}, "/priority", "this is 'high'"),
        ({"loss": "focal"}, "/loss", 'such as {"kind": "balanced_cross_entropy"}; kind is one of balanced_cross_entropy, balanced_softmax'),
        ({"training": 3}, "/training", "its fields are max_epochs, batch_size"),
    ],
)
def test_what_is_wrong_in_a_body_is_told_with_its_value_and_what_belongs_there(
    api: Api, body: dict[str, object], pointer: str, told: str
) -> None:
    (error,) = api.post("/api/v1/jobs", json={"dataset_id": "ds_00000000000000000000000000", **body}).json()["errors"]

    assert error["pointer"] == pointer
    assert told in error["message"]
