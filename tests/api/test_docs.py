"""The API's own pages: whole without a network, and an address for every code."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

import workers
from counterweight.contracts.jobs import FailureClass
from service.api.codes import CODES, FILE_CODES, JOB_CODES, STUDY_CODES
from tests.api.conftest import Api

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
def test_the_pages_are_made_of_our_own_files_alone(api: Api) -> None:
    for path in ("/docs", "/docs/errors"):
        page = api.get(path, headers={"Accept": "text/html"})

        assert page.status_code == 200
        assert "script-src 'self'; style-src 'self'" in page.headers["content-security-policy"]
        asked = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
        assert [address for address in asked if not address.startswith("/")] == []
        assert [address for address in asked if api.get(address).status_code not in (200, 303)] == []
        assert "<style" not in page.text
        assert " style=" not in page.text
        assert re.findall(r"<script(?![^>]*src=)", page.text) == []


@SQLITE
def test_the_type_of_a_problem_leads_to_its_place_on_the_page(api: Api) -> None:
    problem = api.get("/api/v1/jobs?filter=nonsense").json()
    path, _, anchor = problem["type"].partition("#")

    page = api.get(path, headers={"Accept": "text/html"}).text

    assert f'<tr id="{anchor}">' in page


@SQLITE
def test_programs_get_the_list_as_json(api: Api) -> None:
    listed = {entry["code"]: entry for entry in api.get("/docs/errors").json()["data"]}

    assert listed["class_too_rare"] | {"way_out": ""} == {
        "code": "class_too_rare",
        "status": 422,
        "title": CODES["class_too_rare"].title,
        "way_out": "",
        "type": "/docs/errors#class_too_rare",
        "of": "answers",
    }


@SQLITE
def test_other_forms_of_the_list_are_not_to_be_had(api: Api) -> None:
    assert api.get("/docs/errors", headers={"Accept": "image/png"}).json()["code"] == "not_acceptable"


def test_every_code_has_one_place() -> None:
    listed = Counter([*CODES, *JOB_CODES, *STUDY_CODES, *FILE_CODES])

    assert [code for code, count in listed.items() if count > 1] == []
    assert set(get_args(FailureClass)) <= listed.keys()
    assert _codes_of_readers() <= listed.keys()
    assert len(_codes_of_readers()) > 20


def _codes_of_readers() -> set[str]:
    """The first argument of every `Unreadable`, and every text that is assigned to a `code`."""
    found: list[ast.expr] = []
    for path in (Path(workers.__file__).parent / "ingest").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Unreadable":
                found += node.args[:1]
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code":
                found.append(node.value)
    return {str(code.value) for code in found if isinstance(code, ast.Constant)}
