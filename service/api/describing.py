"""The OpenAPI document: FastAPI's, made whole, and kept to what generators of clients understand."""

import json
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from counterweight.contracts.datasets import DatasetOptions, NewDataset

DESCRIPTION = "Upload a table whose classes are unequal, say which loss, and get trained, calibrated, honestly compared classifiers."

_EXAMPLES = {
    "column": "part",
    "value": 0.5,
    "precision": 0.8,
    "recall": 0.9,
    "false_negative": 10.0,
    "false_positive": 1.0,
    "k": 100,
}
"""What to show for fields of a union's members that have no default."""


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description of every route, made once."""
    if app.openapi_schema is None:
        described = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        components = described["components"]
        for kind in (NewDataset, DatasetOptions):  # The body of an upload is read by hand, so FastAPI does not see them.
            own = kind.model_json_schema(ref_template="#/components/schemas/{model}")
            components["schemas"] |= own.pop("$defs", {}) | {kind.__name__: own}
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "An API key: `cw_…`."}}
        described["security"] = [{"key": []}, {}]
        _show_members_of_unions(components["schemas"])
        _tell_defaults_that_are_objects(described)
        app.openapi_schema = described
    return app.openapi_schema


def _show_members_of_unions(schemas: dict[str, Any]) -> None:
    """Give each member of a union an example: its kind, and its fields as they are when left out."""
    unions = [schema["discriminator"] for schema in _inside(schemas) if isinstance(schema.get("discriminator"), dict)]
    for union in unions:
        for kind, reference in union["mapping"].items():
            member = schemas[reference.rpartition("/")[2]]
            fields = {name: field.get("default", _EXAMPLES.get(name)) for name, field in member["properties"].items()}
            shown = {name: value for name, value in fields.items() if value is not None}
            examples = member.setdefault("examples", [])
            if (example := {**shown, union["propertyName"]: kind}) not in examples:
                examples.append(example)


def _tell_defaults_that_are_objects(described: dict[str, Any]) -> None:
    """Move a default that is an object into words: a generator that cannot write it in its language drops the whole route."""
    for schema in _inside(described):
        if isinstance(schema.get("default"), dict) and {"$ref", "oneOf", "anyOf"} & schema.keys():
            told = f"When left out: `{json.dumps(schema.pop('default'))}`."
            schema["description"] = f"{schema['description']} {told}" if "description" in schema else told


def _inside(value: Any) -> Iterator[dict[str, Any]]:
    """Yield all objects in a JSON value."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _inside(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _inside(inner)
