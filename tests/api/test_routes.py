"""The route table: everything declares who may use it, and the OpenAPI says what there is."""

import ast
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

import service
from counterweight.contracts import evaluation, learners, losses, splits
from counterweight.settings import ServerSettings
from service.api.app import make_app
from service.api.bodies import StrictRoute
from service.api.codes import CODES
from service.api.dependencies import public
from service.api.guard import is_public
from service.persistence.database import Database
from service.persistence.files import Files

OPERATIONS = {
    ("get", "/"): "index",
    ("get", "/healthz"): "healthz",
    ("get", "/readyz"): "readyz",
    ("post", "/api/v1/datasets"): "datasets_upload",
    ("get", "/api/v1/datasets"): "datasets_list",
    ("get", "/api/v1/datasets/{dataset_id}"): "datasets_get",
    ("patch", "/api/v1/datasets/{dataset_id}"): "datasets_update",
    ("delete", "/api/v1/datasets/{dataset_id}"): "datasets_delete",
    ("post", "/api/v1/jobs"): "jobs_submit",
    ("get", "/api/v1/jobs"): "jobs_list",
    ("get", "/api/v1/jobs/{job_id}"): "jobs_get",
    ("patch", "/api/v1/jobs/{job_id}"): "jobs_update",
    ("delete", "/api/v1/jobs/{job_id}"): "jobs_delete",
    ("post", "/api/v1/jobs/{job_id}/cancel"): "jobs_cancel",
    ("post", "/api/v1/jobs/{job_id}/pause"): "jobs_pause",
    ("post", "/api/v1/jobs/{job_id}/resume"): "jobs_resume",
    ("post", "/api/v1/jobs/{job_id}/retry"): "jobs_retry",
    ("get", "/api/v1/jobs/{job_id}/transitions"): "jobs_transitions",
    ("get", "/api/v1/jobs/{job_id}/attempts"): "jobs_attempts",
    ("get", "/api/v1/jobs/{job_id}/artifacts"): "jobs_artifacts",
    ("get", "/api/v1/jobs/{job_id}/artifacts/{name}"): "jobs_download",
    ("get", "/api/v1/jobs/{job_id}/logs"): "jobs_logs",
    ("get", "/api/v1/events"): "events_list",
    ("get", "/api/v1/jobs/{job_id}/events"): "jobs_events",
    ("get", "/api/v1/studies/{study_id}/events"): "studies_events",
    ("get", "/api/v1/jobs/{job_id}/metrics"): "jobs_metrics",
    ("get", "/api/v1/jobs/{job_id}/evaluation"): "jobs_evaluation",
    ("get", "/api/v1/jobs/{job_id}/operating-point"): "jobs_operating_point",
    ("post", "/api/v1/studies"): "studies_create",
    ("get", "/api/v1/studies"): "studies_list",
    ("get", "/api/v1/studies/{study_id}"): "studies_get",
    ("patch", "/api/v1/studies/{study_id}"): "studies_update",
    ("delete", "/api/v1/studies/{study_id}"): "studies_delete",
    ("post", "/api/v1/studies/{study_id}/cancel"): "studies_cancel",
    ("post", "/api/v1/studies/{study_id}/pause"): "studies_pause",
    ("post", "/api/v1/studies/{study_id}/resume"): "studies_resume",
    ("post", "/api/v1/studies/{study_id}/retry"): "studies_retry",
    ("get", "/api/v1/studies/{study_id}/metrics"): "studies_metrics",
    ("get", "/api/v1/losses"): "losses_list",
    ("post", "/api/v1/losses/resolve"): "losses_resolve",
    ("get", "/api/v1/losses/curve"): "losses_curve",
    ("get", "/api/v1/queue"): "queue_list",
    ("get", "/api/v1/workers"): "workers_list",
    ("post", "/api/v1/workers/{worker_id}/drain"): "workers_drain",
    ("post", "/api/v1/projects"): "projects_create",
    ("get", "/api/v1/projects"): "projects_list",
    ("get", "/api/v1/projects/{project_id}"): "projects_get",
    ("patch", "/api/v1/projects/{project_id}"): "projects_update",
    ("post", "/api/v1/api-keys"): "api_keys_create",
    ("get", "/api/v1/api-keys"): "api_keys_list",
    ("delete", "/api/v1/api-keys/{key_id}"): "api_keys_revoke",
}
"""What the contract names: a route is added here and there together."""

HIDDEN = ("/openapi.json", "/static/", "/docs", "/ui/", "/api/v1/trainer/")
"""What is for browsers, the description itself, and what only parts of ours say to each other."""

WITHOUT_KEY = ("/ui/sign-in", "/ui/sign-out")
"""Posts that need no key: they bring one, or take it away."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    home = tmp_path_factory.mktemp("home")
    return make_app(ServerSettings(home=home), Database(f"sqlite:///{home}/record.db"), Files(home / "files"))


def _routes(app: FastAPI) -> dict[str, APIRoute]:
    """Every route by its whole path; fails for one that is not of ours."""
    found: dict[str, APIRoute] = {}
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        assert isinstance(route, StrictRoute), route
        found[f"{sorted(route.methods or ())} {context.path}"] = route
    return found


def _dependencies(route: APIRoute) -> list[Any]:
    return [dependency.call for dependency in route.dependant.dependencies]


def test_every_route_declares_who_may_use_it(app: FastAPI) -> None:
    declared = {
        name: [call for call in _dependencies(route) if call is public or hasattr(call, "scope")] for name, route in _routes(app).items()
    }

    assert [name for name, guards in declared.items() if len(guards) != 1] == []


def test_exactly_the_public_paths_need_no_key(app: FastAPI) -> None:
    for name, route in _routes(app).items():
        assert (public in _dependencies(route)) == is_public(name.partition(" ")[2]), name


def test_only_pages_their_files_and_trainers_are_left_out_of_the_openapi(app: FastAPI) -> None:
    hidden = {name.partition(" ")[2] for name, route in _routes(app).items() if not route.include_in_schema}

    assert [path for path in hidden if not path.startswith(HIDDEN)] == []


ASKING_POSTS = {"['POST'] /api/v1/losses/resolve"}
"""A question too long for an address: it changes nothing."""


def test_only_reading_needs_no_more_than_read(app: FastAPI) -> None:
    for name, route in _routes(app).items():
        scopes = [call.scope for call in _dependencies(route) if hasattr(call, "scope")] or ["none"]

        path = name.partition(" ")[2]
        assert route.methods == {"GET"} or name in ASKING_POSTS or path in WITHOUT_KEY or scopes[0] in ("submit", "admin", "trainer"), name


def test_openapi_names_each_operation_after_its_method_in_the_client(app: FastAPI) -> None:
    described = {
        (method, path): operation["operationId"] for path, item in app.openapi()["paths"].items() for method, operation in item.items()
    }

    assert described == OPERATIONS


def test_openapi_declares_the_errors_of_each_operation(app: FastAPI) -> None:
    for path, item in app.openapi()["paths"].items():
        for operation in item.values():
            errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}

            assert {"401", "403", "422", "500"} <= errors.keys(), path
            assert all(list(answer["content"]) == ["application/problem+json"] for answer in errors.values()), path


def test_openapi_describes_each_operation(app: FastAPI) -> None:
    operations = [operation for item in app.openapi()["paths"].values() for operation in item.values()]

    assert all(len(operation["description"]) > 20 for operation in operations)


def test_openapi_refers_only_to_what_it_holds(app: FastAPI) -> None:
    described = app.openapi()

    assert {name for name in _references(described)} <= {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}


def test_openapi_is_of_version_3_1(app: FastAPI) -> None:
    assert app.openapi()["openapi"].startswith("3.1")


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [name for inner in value.values() for name in _references(inner)]
    return [name for inner in value for name in _references(inner)] if isinstance(value, list) else []


def test_every_code_in_the_source_is_on_the_list() -> None:
    """Codes are the `code=` of an error, the first argument of `refused`, and the second of `Invalid.at`."""
    used = {code for path in Path(service.__file__).parent.rglob("*.py") if "persistence/queue" not in str(path) for code in _codes(path)}

    assert used <= CODES.keys()
    assert len(used) > 20


def _codes(path: Path) -> list[str]:
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            found += [keyword.value for keyword in node.keywords if keyword.arg == "code" and name in ("Invalid", "WrongState", "NotReady")]
            found += node.args[:1] if name == "refused" else node.args[1:2] if name == "Invalid.at" else []
    return [str(code.value) for code in found if isinstance(code, ast.Constant)]


def test_openapi_shows_each_member_of_each_union_with_an_example_that_is_one(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    members = {
        reference.rpartition("/")[2]
        for schema in _objects(schemas)
        if isinstance(schema.get("discriminator"), dict)
        for reference in schema["discriminator"]["mapping"].values()
    }

    assert {"Focal", "Mlp", "ColumnSplit", "MinCost"} <= members
    for name in members:
        [kind] = [getattr(room, name) for room in (losses, learners, splits, evaluation) if hasattr(room, name)]
        assert schemas[name]["examples"]
        for example in schemas[name]["examples"]:
            kind.model_validate(example)


def _objects(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for inner in value.values() for found in _objects(inner))]
    return [found for inner in value for found in _objects(inner)] if isinstance(value, list) else []
