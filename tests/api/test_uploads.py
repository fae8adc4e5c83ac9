"""Uploads: the three ways, what is refused, and that nothing is left behind."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.persistence.database import Database
from service.persistence.files import Files
from tests.api.conftest import Api
from tests.factories import make_dataset

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CSV = b"age,label\n1,good\n2,bad\n"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def stored(files: Files) -> list[Path]:
    return [path for path in files.folder.rglob("*") if path.is_file()]


def part(name: str, content: bytes, extra: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + content + b"\r\n"


def test_a_form_becomes_a_dataset(api: Api, files: Files) -> None:
    answer = api.upload(CSV, name="credit", options='{"target": "label"}')

    dataset = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == dataset["links"]["self"] == f"/api/v1/datasets/{dataset['id']}"
    assert (dataset["name"], dataset["state"], dataset["bytes"]) == ("credit", "processing", len(CSV))
    assert dataset["sha256"] == hashlib.sha256(CSV).hexdigest()
    assert files.path(f"datasets/{dataset['id']}/source").read_bytes() == CSV


@SQLITE
def test_the_body_can_be_the_file(api: Api, files: Files) -> None:
    answer = api.post(
        "/api/v1/datasets", content=CSV, params={"name": "raw", "options": '{"target": 1}'}, headers={"Content-Type": "text/csv"}
    )

    assert (answer.status_code, answer.json()["name"]) == (202, "raw")
    assert [path.read_bytes() for path in stored(files)] == [CSV]


def test_the_same_bytes_can_be_read_otherwise(api: Api, database: Database) -> None:
    with database.write() as session:
        source = make_dataset(session)

    answer = api.post("/api/v1/datasets", json={"source_dataset_id": source.id, "options": {"target": "city"}})

    assert answer.status_code == 202
    assert (answer.json()["sha256"], answer.json()["state"]) == (source.sha256, "processing")
    assert answer.json()["id"] != source.id


@SQLITE
def test_an_unknown_source_is_not_found(api: Api) -> None:
    assert api.post("/api/v1/datasets", json={"source_dataset_id": "ds_1"}).status_code == 404


def test_the_same_file_with_the_same_options_is_kept_once(api: Api, files: Files) -> None:
    first = api.upload(CSV, options='{"target": "label", "header": true}')

    again = api.upload(CSV, options='{"header":true,"target":"label"}')

    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    assert len(stored(files)) == 1


@SQLITE
def test_other_options_make_another_dataset(api: Api) -> None:
    assert api.upload(CSV).json()["id"] != api.upload(CSV, options='{"target": "label"}').json()["id"]


def test_a_file_that_failed_is_tried_again_when_sent_again(api: Api, database: Database) -> None:
    with database.write() as session:
        failed = make_dataset(session, state="failed")
        failed.sha256 = hashlib.sha256(CSV).hexdigest()

    answer = api.upload(CSV, options='{"target": "label"}')

    assert answer.status_code == 202
    assert (answer.json()["id"], answer.json()["state"], answer.json()["error"]) == (failed.id, "processing", None)


@SQLITE
@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("table.csv", "table.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\table.csv", "table.csv"),
        ("a\x01\x1b[31mb.csv", "a[31mb.csv"),
        ("\u202efdp.csv", "fdp.csv"),
        ("..", "dataset"),
        ("x" * 1000, "x" * 200),
        ("größe.csv", "größe.csv"),
    ],
)
def test_a_dataset_is_called_after_its_file(api: Api, filename: str, name: str) -> None:
    answer = api.post("/api/v1/datasets", content=part("file", CSV, f'; filename="{filename}"') + b"--b--\r\n", headers=FORM)

    assert answer.json()["name"] == name


@SQLITE
@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        (part("file", CSV) + part("file", CSV) + b"--b--", 422, "/file"),
        (part("name", b"x") + b"--b--", 422, "/file"),
        (part("file", b"") + b"--b--", 422, "/file"),
        (part("file", CSV) + part("source", b"/etc/passwd") + b"--b--", 422, "/source"),
        (part("file", CSV) + part("path", b"x") + b"--b--", 422, "/path"),
        (part("file", CSV) + part("options", b"{") + b"--b--", 422, "/options"),
        (part("file", CSV) + part("options", b"[]") + b"--b--", 422, "/options"),
        (part("file", CSV) + part("options", b'{"target": -1}') + b"--b--", 422, "/options/target"),
        (part("file", CSV) + part("options", b'{"tarhet": "y"}') + b"--b--", 422, "/options/tarhet"),
        (part("file", CSV) + part("options", b'{"delimiter": "ab"}') + b"--b--", 422, "/options/delimiter"),
        (part("file", CSV) + part("options", b'{"encoding": "rot13"}') + b"--b--", 422, "/options/encoding"),
        (part("file", CSV) + part("options", b"\xff") + b"--b--", 422, "/options"),
        (part("file", CSV) + part("name", b"x" * 201) + b"--b--", 422, "/name"),
        (part("file", CSV) + part("name", b"a\0b") + b"--b--", 400, None),
        (part("file", CSV) + part("name", b"x" * 2_000_000) + b"--b--", 413, None),
        (part("file", CSV), 400, None),
        (b"", 400, None),
        (b"nonsense", 400, None),
        (b"--b\r\nContent-Disposition\r\n\r\n", 400, None),
        (b"--b\r\n" + b"X: y\r\n" * 20 + b"\r\n", 400, None),
        (b"--b\r\nX: " + b"y" * 10_000 + b"\r\n\r\n", 400, None),
        (b"--b\r\n\r\nno disposition\r\n--b--", 422, "/"),
    ],
)
def test_a_wrong_form_is_refused_and_leaves_nothing(api: Api, files: Files, body: bytes, status: int, pointer: str | None) -> None:
    answer = api.post("/api/v1/datasets", content=body, headers=FORM)

    assert answer.status_code == status
    assert [error["pointer"] for error in answer.json().get("errors", [])] == ([] if pointer is None else [pointer])
    assert stored(files) == []
    assert api.get("/api/v1/datasets").json()["data"] == []


@SQLITE
@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'b' * 71}"]
)
def test_a_form_without_a_sane_boundary_is_refused(api: Api, content_type: str) -> None:
    answer = api.post("/api/v1/datasets", content=b"--b--", headers={"Content-Type": content_type})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


@SQLITE
@pytest.mark.parametrize(
    "content_type", [None, "application/x-www-form-urlencoded", "image/png", "text/html", "multipart/mixed; boundary=b"]
)
def test_another_content_type_is_refused(api: Api, content_type: str | None) -> None:
    answer = api.post("/api/v1/datasets", content=CSV, headers={} if content_type is None else {"Content-Type": content_type})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@SQLITE
@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"options": "x"}, "/options"),
        ({"options": '{"a": 1}'}, "/options/a"),
        ({"path": "x"}, "/path"),
    ],
    ids=str,
)
def test_wrong_words_beside_a_raw_file_are_refused(api: Api, files: Files, query: dict[str, str], pointer: str) -> None:
    answer = api.post("/api/v1/datasets", content=CSV, params=query, headers={"Content-Type": "text/csv"})

    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert stored(files) == []


@SQLITE
def test_an_empty_body_is_refused(api: Api) -> None:
    answer = api.post("/api/v1/datasets", content=b"", headers={"Content-Type": "text/csv"})

    assert (answer.status_code, answer.json()["code"]) == (422, "empty_file")


@SQLITE
def test_a_file_of_just_the_largest_size_is_taken(api: Api) -> None:
    assert api.upload(b"x" * 100_000).status_code == 202


@SQLITE
@pytest.mark.parametrize("size", [100_001, 5_000_000])
def test_a_larger_file_is_refused_and_leaves_nothing(api: Api, files: Files, size: int) -> None:
    answers = [api.upload(b"x" * size), api.post("/api/v1/datasets", content=b"x" * size, headers={"Content-Type": "text/csv"})]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == 2 * [(413, "too_large")]
    assert stored(files) == []


@SQLITE
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_form_may_arrive_in_any_pieces(api: Api, files: Files, chunk: int) -> None:
    content = b"a,b\n--b\n\r\n--\r\n--c\r\n"
    body = part("file", content) + part("options", json.dumps({"target": "b"}).encode()) + b"--b--\r\n"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), chunk):
            yield body[start : start + chunk]

    answer = api.post("/api/v1/datasets", content=pieces(), headers=FORM)

    assert answer.status_code == 202
    assert [path.read_bytes() for path in stored(files)] == [content]


@SQLITE
def test_options_that_curl_has_cut_tell_how_to_send_them_whole(api: Api) -> None:
    answer = api.upload(CSV, options='{"target": "label", "delimiter": "')

    assert answer.status_code == 422
    assert "--form-string" in answer.json()["detail"]
    assert "--form-string" not in api.upload(CSV, options="{target}").json()["detail"]
