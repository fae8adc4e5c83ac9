"""Pydantic's errors as JSON pointers into what the user sent, in words the user can act on."""

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from counterweight.contracts.problems import FieldError

Schema = Mapping[str, Any]
LONGEST_ECHO = 60
LONGEST_NUMBER_BITS = 64


def field_errors(errors: Sequence[Any], schema: Schema, prefix: str = "") -> list[FieldError]:
    """Return one error for each wrong field: of a body of this JSON schema, found under `prefix`."""
    found: dict[str, FieldError] = {}
    for error in errors:
        defs = schema.get("$defs", {})
        path, place, here = _walk(error["loc"], schema, defs)
        if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
            path.append(error["ctx"]["discriminator"].strip("'"))
        pointer = prefix + "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in path)
        earlier = found.get(pointer)
        message = _unknown(path[-1], place, defs) if error["type"] == "extra_forbidden" else _message(error, path, place, here)
        # A field that may be of several types has one error for each of them.
        joined = message if earlier is None or message in earlier.message else f"{earlier.message}; or: {message}"
        found[pointer] = FieldError(pointer=pointer, code=error["type"] if earlier is None else earlier.code, message=joined)
    # Where a field may be a number or an object, an error inside the object says more than "not a number".
    told = [error for pointer, error in found.items() if not any(other.startswith(f"{pointer}/") for other in found if pointer)]
    # A field in the wrong place, or misspelt, is most often the one that is missing elsewhere: it says more, and comes first.
    return sorted(told, key=lambda error: error.code != "extra_forbidden")


def _walk(steps: Sequence[str | int], schema: Schema, defs: Schema) -> tuple[list[str], Schema, Schema]:
    """Follow a location through the schema, dropping what is no part of the document: the names of a union's members.

    Returns the path, the schema of the object its last step is in, and that of what it leads to.
    """
    path: list[str] = []
    here = outer = schema
    for step in steps:
        here = _resolved(here, defs)
        if "discriminator" in here:
            here = {"$ref": here["discriminator"]["mapping"].get(str(step), "")}
            continue
        if "anyOf" in here or step == "[key]":
            here = {}
            continue
        outer = here
        path.append(str(step))
        inner = here.get("properties", {}).get(step) or here.get("additionalProperties") or here.get("items")
        here = inner if isinstance(inner, Mapping) else {}
    return path, outer, _resolved(here, defs)


def _resolved(schema: Schema, defs: Schema) -> Schema:
    """Look through a reference, and through a nullable wrapper around a discriminated union."""
    if "$ref" in schema:
        return _resolved(defs.get(schema["$ref"].removeprefix("#/$defs/"), {}), defs)
    members = [member for member in schema.get("anyOf", []) if member.get("type") != "null"]
    return _resolved(members[0], defs) if len(members) == 1 else schema


def _message(error: Any, path: Sequence[str], place: Schema, here: Schema) -> str:
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        choices = context["expected_tags"].replace("'", "").split(", ")
        close = difflib.get_close_matches(str(context["tag"])[:LONGEST_ECHO], choices, n=1)
        way_out = f"did you mean {close[0]!r}? Choose" if close else "choose"
        return f"there is no {path[-1]} {_echo(str(context['tag']))}; {way_out} one of {', '.join(choices)}"
    if error["type"] == "union_tag_not_found":
        return f"say which by {error['ctx']['discriminator']}"
    if error["type"] in ("model_attributes_type", "model_type"):
        if "discriminator" in here:
            name, choices = here["discriminator"]["propertyName"], here["discriminator"]["mapping"]
            return f'an object is expected here, such as {{"{name}": "{next(iter(choices))}"}}; {name} is one of {", ".join(choices)}'
        fields = here.get("properties") or place.get("properties", {})
        return f"an object is expected here, in braces; its fields are {', '.join(fields)}"
    if error["type"] == "missing":
        return "this field is required"
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message if len(message) < 500 else f"{message[:500]}…"
    given = _told(error.get("input")) if message.startswith("Input should be") else None
    return message if given is None else f"{message}; this is {given}"


def _unknown(name: str, place: Schema, defs: Schema) -> str:
    """Say what was meant by a field that is not one of these: another of them, or one of a part of them."""
    known = place.get("properties", {})
    parts = [part for part, inner in known.items() if name in _resolved(inner, defs).get("properties", {})]
    close = difflib.get_close_matches(name[:LONGEST_ECHO], known, n=1)
    if close:
        way_out = f"did you mean {close[0]!r}?"
    else:
        way_out = f"it is one of {' and of '.join(parts)}" if parts else f"the fields are {', '.join(known)}"
    return f"{_echo(name)} is not a field here; {way_out}"


def _told(given: object) -> str | None:
    """Return a value as it is to be shown; None where that would be long."""
    if isinstance(given, str):
        return _echo(given)
    if isinstance(given, int) and given.bit_length() > LONGEST_NUMBER_BITS:
        return None
    return json.dumps(given) if given is None or isinstance(given, int | float) else None


def _echo(text: str) -> str:
    return repr(text if len(text) <= LONGEST_ECHO else f"{text[:LONGEST_ECHO]}…")
