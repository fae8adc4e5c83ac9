"""The files pages are made of: sent as what they are, kept by browsers for ever, and only they."""

import hashlib

import pytest

from service.web import static_files
from service.web.static_files import FOLDER, FOR_EVER, MEDIA_TYPES, static_url, static_version
from service.web.vendored import VENDORED
from tests.api.conftest import Api

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

STYLE = "vendor/swagger-ui/swagger-ui.css"


@SQLITE
def test_a_file_is_sent_whole_as_what_it_is_and_may_be_kept_for_ever(api: Api) -> None:
    answer = api.get(static_url(STYLE))

    assert answer.content == (FOLDER / STYLE).read_bytes()
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == FOR_EVER


@SQLITE
def test_a_file_of_another_version_is_asked_for_again(api: Api) -> None:
    first = api.get(f"/static/of-last-year/{STYLE}")

    again = api.get(f"/static/of-last-year/{STYLE}", headers={"If-None-Match": first.headers["etag"]})

    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    assert (again.status_code, again.content) == (304, b"")


@SQLITE
@pytest.mark.parametrize("name", ["", "none.css", "../static_files.py", "%2e%2e/static_files.py", "..%2fstatic_files.py", "/etc/passwd"])
def test_nothing_else_is_sent(api: Api, name: str) -> None:
    answer = api.get(f"/static/{static_version()}/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_every_file_is_of_a_known_kind() -> None:
    assert {path.suffix for path in FOLDER.rglob("*") if path.is_file()} <= MEDIA_TYPES.keys()


def test_a_file_that_is_not_there_has_no_address() -> None:
    with pytest.raises(ValueError, match="scripts/none"):
        static_files.static_url("scripts/none.js")


def test_what_others_wrote_is_as_they_released_it_with_its_licence() -> None:
    vendored = FOLDER / "vendor"
    listed = {f"{package.folder}/{name}": digest for package in VENDORED for name, digest in package.files.items()}

    found = {
        str(path.relative_to(vendored)): hashlib.sha256(path.read_bytes()).hexdigest() for path in vendored.rglob("*") if path.is_file()
    }

    assert found == listed
    assert all(any(name.startswith("LICENSE") for name in package.files) for package in VENDORED)
