"""Malformed and hostile JSON: refused with a code and a pointer, quickly, and nothing is made."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from counterweight.settings import ServerSettings
from service.api.app import make_app
from service.persistence.database import Database
from service.persistence.files import Files
from tests import records
from tests.api.conftest import Api
from tests.factories import make_dataset

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, sqlite_template: str) -> Iterator[Database]:
    """One record for all: nothing here is to be written."""
    with records.copied(sqlite_template, tmp_path_factory.mktemp("json")) as url, closing(Database(url)) as database:
        yield database


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, database: Database) -> Iterator[Api]:
    home = tmp_path_factory.mktemp("home")
    api = Api(make_app(ServerSettings(home=home), database, Files(home / "files")))
    yield api
    api.close()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"dataset_id": NaN}',
        b'{"dataset_id": Infinity}',
        b'{"dataset_id": -Infinity}',
        b'{"priority": 1e400}',
        b'{"priority": ' + b"9" * 5000 + b"}",
        b'{"dataset_id": "a", "dataset_id": "b"}',
        b'{"labels": {"a": "1", "a": "2"}}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b'{"dataset_id": "\xff"}',
        '{"dataset_id": "a"}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"name": "a\\u0000b"}',
        b'{"labels": {"\\u0000": "a"}}',
        b'{"name": "\\ud800"}',
        b'{"name": "\x01"}',
        b'{"a": 1} {"b": 2}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_not_json_is_refused(api: Api, body: bytes) -> None:
    answer = api.post("/api/v1/jobs", content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"loss": {"kind": "focal", "gamma": -1}}, "/loss/gamma"),
        ({"loss": {"kind": "focal", "gamma": "2"}}, "/loss/gamma"),
        ({"loss": {"kind": "focal", "gamma": True}}, "/loss/gamma"),
        ({"loss": {"kind": "focal", "gamma": None}}, "/loss/gamma"),
        ({"loss": {"kind": "focal", "gama": 2}}, "/loss/gama"),
        ({"loss": {"kind": "focal", "alpha": 2}}, "/loss/alpha"),
        ({"loss": {"kind": "focal", "alpha": {"a": -1}}}, "/loss/alpha/a"),
        ({"loss": {"kind": "focl"}}, "/loss/kind"),
        ({"loss": {"gamma": 2}}, "/loss/kind"),
        ({"loss": "focal"}, "/loss"),
        ({"loss": []}, "/loss"),
        ({"loss": {"kind": "balanced_cross_entropy", "beta": 0.5}}, "/loss"),
        ({"split": {"kind": "column"}}, "/split/column"),
        ({"split": {"kind": "column", "column": 5}}, "/split/column"),
        ({"split": {"kind": "stratified", "test": 0.9}}, "/split"),
        ({"split": {"kind": "place", "column": "t"}}, "/split/kind"),
        ({"learner": {"kind": "forest"}}, "/learner/kind"),
        ({"learner": {"kind": "mlp", "width": 2**63}}, "/learner/width"),
        ({"learner": {"kind": "mlp", "width": 10**30}}, "/learner/width"),
        ({"training": {"max_epochs": 1.5}}, "/training/max_epochs"),
        ({"training": {"early_stopping": {"patience": 0}}}, "/training/early_stopping/patience"),
        ({"training": {"batch_size": 0}}, "/training/batch_size"),
        ({"evaluation": {"threshold": {"policy": "fixed", "value": 2}}}, "/evaluation/threshold/value"),
        ({"evaluation": {"threshold": {"policy": "top_k", "k": 0}}}, "/evaluation/threshold/k"),
        ({"evaluation": {"threshold": {"policy": "best"}}}, "/evaluation/threshold/policy"),
        ({"exclude": ["a", 1]}, "/exclude/1"),
        ({"labels": {"a b": "c"}}, "/labels/a b"),
        ({"labels": {"a": 1}}, "/labels/a"),
        ({"labels": {str(number): "" for number in range(65)}}, "/labels"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"state": "succeeded"}, "/state"),
        ({"owner": "me"}, "/owner"),
        ({"id": "job_1"}, "/id"),
        ({"study_id": "stu_1"}, "/study_id"),
        ({"test_dataset_id": 1}, "/test_dataset_id"),
        ({"limits": {"max_runtime_s": 0}}, "/limits/max_runtime_s"),
        ({"resources": {"gpus": 0}}, "/resources/gpus"),
        ({"priority": 101}, "/priority"),
        ({"priority": 2**63}, "/priority"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"name": "   "}, "/name"),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_a_wrong_field_is_pointed_at(api: Api, spec: dict[str, Any], pointer: str) -> None:
    answer = api.submit("ds_1", **spec)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "true"])
def test_a_body_that_is_no_object_is_refused(api: Api, body: str) -> None:
    answer = api.post("/api/v1/jobs", content=body, headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert "an object is expected" in answer.json()["detail"]
    assert "dataset_id" in answer.json()["detail"]


def test_a_missing_field_is_pointed_at(api: Api) -> None:
    errors = api.post("/api/v1/jobs", json={}).json()["errors"]

    assert errors == [{"pointer": "/dataset_id", "code": "missing", "message": "this field is required"}]


def test_a_typo_is_answered_with_the_likely_field(api: Api) -> None:
    errors = api.submit("ds_1", learner={"kind": "mlp", "widht": 3}).json()["errors"]

    assert "did you mean 'width'?" in errors[0]["message"]


def test_an_unknown_loss_is_answered_with_the_known_ones(api: Api) -> None:
    errors = api.submit("ds_1", loss={"kind": "focl"}).json()["errors"]

    assert errors[0]["message"] == (
        "there is no kind 'focl'; did you mean 'focal'? Choose one of cross_entropy, balanced_cross_entropy, "
        "focal, logit_adjusted, balanced_softmax, ldam, poly"
    )


def test_a_misplaced_field_is_told_where_it_belongs_before_what_is_missing(api: Api) -> None:
    problem = api.post("/api/v1/studies", json={"dataset_id": "ds_1", "losses": [{"kind": "focal"}]}).json()

    assert [error["pointer"] for error in problem["errors"]] == ["/dataset_id", "/base"]
    assert problem["detail"] == "/dataset_id: 'dataset_id' is not a field here; it is one of base (and 1 more)"


def test_an_unknown_loss_of_a_study_is_answered_with_the_known_ones(api: Api) -> None:
    study = {"base": {"dataset_id": "ds_1"}, "losses": [{"kind": "cross_entropy"}, {"kind": "zzz"}]}

    errors = api.post("/api/v1/studies", json=study).json()["errors"]

    assert errors[0]["pointer"] == "/losses/1/kind"
    assert errors[0]["message"].startswith("there is no kind 'zzz'; choose one of cross_entropy, ")


def test_several_wrong_fields_are_all_told(api: Api) -> None:
    answer = api.submit("ds_1", priority=-1, loss={"kind": "focal", "gamma": -1})

    assert {error["pointer"] for error in answer.json()["errors"]} == {"/priority", "/loss/gamma"}


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"]
)
def test_json_is_only_taken_as_json(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    answer = api.post("/api/v1/jobs", content=b"{}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_json_may_name_its_encoding(api: Api) -> None:
    answer = api.post("/api/v1/jobs", content=b"{}", headers={"Content-Type": "Application/JSON; charset=utf-8"})

    assert answer.status_code == 422


def test_a_body_over_a_mebibyte_is_refused(api: Api) -> None:
    answer = api.submit("ds_1", name="x" * 10_000_000)

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("query", ["dryrun=true", "sort=-created_at", "limit=1"])
def test_an_unknown_query_parameter_is_refused(api: Api, database: Database, query: str) -> None:
    with database.write() as session:
        dataset = make_dataset(session)

    answer = api.post(f"/api/v1/jobs?{query}", json={"dataset_id": dataset.id})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/" + query.partition("=")[0]
    assert api.get("/api/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "limit=99999999999999999999", "limit=-1", "after=x", "after=%00", "after=am9iXzE", "limit=1.5"],
)
def test_a_wrong_query_parameter_is_refused(api: Api, query: str) -> None:
    answer = api.get(f"/api/v1/jobs?{query}")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/" + query.partition("=")[0]


@pytest.mark.parametrize(
    "job_id",
    [
        "x",
        "job_",
        "job_1",
        "%00",
        "job_%00",
        "..",
        "%2e%2e",
        "%252e",
        "a%2fb",
        "file:",
        "ds_01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "job_" + "é" * 26,
        "x" * 4096,
        "CON",
    ],
)
def test_an_id_that_is_none_is_not_found(api: Api, job_id: str) -> None:
    answer = api.get(f"/api/v1/jobs/{job_id}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
