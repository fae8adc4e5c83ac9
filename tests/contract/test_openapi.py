"""Every operation keeps to its description, whatever is sent: no 5xx, and nothing that the OpenAPI does not tell of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.api.test_routes import OPERATIONS
from tests.conftest import fresh_database
from tests.server import Server
from tests.tables_of_numbers import two_blobs

EXAMPLES = 8
KEY = {"Authorization": f"Bearer {'k' * 40}", "Accept": "application/json, */*;q=0.1"}
"""The first key that is made shuts everybody else out; so all requests bear one. Logs of events are asked for as pages."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@dataclass(frozen=True)
class Subject:
    """A served API, and ids of things that it has: a trained job with its dataset, and others that may be deleted."""

    url: str
    schema: OpenApiSchema
    kept: dict[str, str]
    spare: dict[str, str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    folder = tmp_path_factory.mktemp("contract")
    with fresh_database(request.param, folder, request) as url:
        with Server(folder / "home", database_url=url, devices="cpu", workers="1") as trains:
            kept = {"dataset_id": trains.upload(two_blobs(), target="event"), "name": "model.json"}
            spare = {"dataset_id": trains.upload(two_blobs(rows=100), target="event")}
            kept["job_id"] = trains.submit(kept["dataset_id"], training={"max_epochs": 2})
            assert trains.finish(kept["job_id"])["state"] == "succeeded"
        # Without workers: what is submitted from here on, with any number of epochs, is not trained.
        with Server(folder / "home", database_url=url, workers="0", bootstrap_key="k" * 40) as server:
            server.client.headers.update(KEY)
            spare["job_id"] = server.submit(kept["dataset_id"])
            server.client.post(f"/jobs/{spare['job_id']}/cancel")
            study = {"base": {"dataset_id": kept["dataset_id"]}, "losses": [{"kind": "focal"}], "seeds": [0, 1]}
            kept["study_id"], spare["study_id"] = (server.client.post("/studies", json=study).json()["id"] for _ in range(2))
            server.client.post(f"/studies/{spare['study_id']}/cancel")
            yield Subject(server.url, schemathesis.openapi.from_url(f"{server.url}/openapi.json"), kept, spare)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_operation_keeps_to_its_description(subject: Subject, method: str, path: str, mode: GenerationMode) -> None:
    operation = subject.schema[path][method.upper()]
    if mode == GenerationMode.NEGATIVE and not _can_be_wrong(operation):
        pytest.skip("nothing can be wrong with a request for it")
    known = subject.spare if method == "delete" else subject.kept

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def keeps(case: Case[Any]) -> None:
        if "wait" in (case.query or {}):
            case.query["wait"] = 0
        case.call_and_validate(checks=CHECKS, headers=KEY)
        # The same once more about something that is there.
        case.path_parameters = _named(case.path_parameters or {}, known)
        if isinstance(case.body, dict):
            case.body = _named(case.body, {"dataset_id": known["dataset_id"]})
            if isinstance(base := case.body.get("base"), dict):
                case.body["base"] = _named(base, {"dataset_id": known["dataset_id"]})
        case.call_and_validate(checks=CHECKS, headers=KEY)

    keeps()


def _named(given: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    return {**given, **{name: value for name, value in known.items() if name in given}}


def _can_be_wrong(operation: Any) -> bool:
    """A path takes every text, and a header every visible one."""
    return bool(list(operation.query) or list(operation.body))
