"""Reading requests strictly: JSON of bounded size and depth, known query parameters, and errors that point at the field."""

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from fastapi import Request, Response, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from counterweight.contracts.problems import FieldError
from service.api.pointers import field_errors
from service.api.problems import field_problem, refused, wrong_field
from service.domain.errors import TooLarge, UnsupportedMedia

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
MAX_JSON_BYTES = 2**20
MAX_DEPTH = 64

# A text is passed over as one match, also one that never ends: the search stays linear.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)

Model = TypeVar("Model", bound=BaseModel)


class StrictRoute(APIRoute):
    """A route that refuses what it does not know instead of ignoring it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = {field.alias for field in get_flat_params(self.dependant) if isinstance(field.field_info, params.Query)}
        body = self.body_field.field_info.annotation if self.body_field else None
        media_type = getattr(self.body_field.field_info, "media_type", JSON) if self.body_field else JSON
        schema = body.model_json_schema() if isinstance(body, type) and issubclass(body, BaseModel) else {}

        async def strictly(request: Request) -> Response:
            _check_query(request, known)
            if self.body_field is not None:
                request = await _JsonRequest.read(request, media_type)
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise field_problem(_errors_of(error, schema)) from None

        return strictly


class _JsonRequest(Request):
    """A request whose JSON body has been read and checked."""

    @classmethod
    async def read(cls, request: Request, media_type: str) -> Request:
        checked = cls(request.scope, request.receive)
        checked._json = await read_json(request, media_type)
        checked._body = b"{}"  # FastAPI asks for the JSON only when there is a body.
        return checked


async def read_json(request: Request, media_type: str = JSON) -> Any:
    """Return the JSON value of the body; a problem when it is too large, of another type or malformed."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != media_type:
        raise UnsupportedMedia(f"send JSON with `Content-Type: {media_type}`, not {content_type or 'without one'!r}")
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_JSON_BYTES:
            raise TooLarge(f"a JSON body may have {MAX_JSON_BYTES} bytes; this one has more")
    return parse_json(b"".join(chunks))


def parse_json(content: bytes) -> Any:
    """Return a JSON value; a problem for what RFC 8259 does not allow, for keys given twice, and for what no database can keep."""
    try:
        text = content.decode("utf-8")
        _check_depth(text)
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_without_duplicates)
    except ValueError as error:  # Also what `json` and `decode` raise.
        raise refused("malformed_json", f"the body cannot be read as JSON: {error}"[:300]) from None
    _check_values(value)
    return value


def validated(kind: type[Model], value: Any, pointer: str = "") -> Model:
    """Return a value of a contract's type; Invalid, with its fields under `pointer`, when it is none."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise field_problem(field_errors(error.errors(), kind.model_json_schema(), pointer)) from None


def _check_query(request: Request, known: set[str]) -> None:
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        name = unknown[0][:60]
        takes = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
        raise wrong_field(f"/{name}", "extra_forbidden", f"{name!r} is not a query parameter of this address; {takes}")


def _errors_of(error: RequestValidationError, schema: dict[str, Any]) -> list[FieldError]:
    errors = [(one["loc"][0], {**one, "loc": one["loc"][1:]}) for one in error.errors()]
    in_body = [one for where, one in errors if where == "body"]
    # A parameter is flat: what follows its name tells which of its types was tried.
    elsewhere = [{**one, "loc": one["loc"][:1]} for where, one in errors if where != "body"]
    return field_errors(elsewhere, {}) + field_errors(in_body, schema)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:60]} is too large a number")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:60]!r} is given twice")
    return found


def _check_depth(text: str) -> None:
    """Refuse deep nesting before anything recurses into it."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match.group(), 0)
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _check_values(value: Any) -> None:
    """Refuse characters that later steps could not stand."""
    remaining = [value]
    while remaining:
        item = remaining.pop()
        if isinstance(item, str):
            check_text(item)
        elif isinstance(item, dict):
            remaining += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            remaining += item


def check_text(text: str) -> None:
    """Refuse characters that a text in the record cannot have."""
    if "\0" in text:
        raise refused("malformed_json", "a text holds the character NUL, which cannot be kept")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise refused("malformed_json", "a text holds half a surrogate pair, which is no character")
