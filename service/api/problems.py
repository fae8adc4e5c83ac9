"""How this service says no: refusals become problems, each with a code of the closed list in `codes.py`."""

import errno
import re
from collections.abc import Sequence
from typing import Any

from fastapi import Request, Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from counterweight.contracts.problems import FieldError, Problem, problem_type
from service.api.codes import CODES
from service.domain.errors import Invalid, NotReady, RangeNotSatisfiable, ServiceError, StorageFull, WrongState

MEDIA_TYPE = "application/problem+json"


_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM = re.compile("disk is full|No space left")
_CODE_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


def respond(request_id: str, path: str, refusal: ServiceError, headers: dict[str, str] | None = None) -> Response:
    """Return the answer that tells a refusal."""
    meaning = CODES[refusal.code]
    problem = Problem(
        type=problem_type(refusal.code),
        title=meaning.title,
        status=meaning.status,
        code=refusal.code,
        detail=refusal.detail,
        instance=path,
        request_id=request_id,
        errors=refusal.errors if isinstance(refusal, Invalid) else [],
        allowed_actions=_actions(refusal, meaning.status),
    )
    extra = dict(headers or {})
    if isinstance(refusal, NotReady) or meaning.status == 503:
        extra["Retry-After"] = str(refusal.retry_after_s if isinstance(refusal, NotReady) else 1)
    if isinstance(refusal, RangeNotSatisfiable):
        extra["Content-Range"] = f"bytes */{refusal.size}"
    if meaning.status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="counterweight"'
    return Response(problem.model_dump_json(exclude_defaults=True), meaning.status, extra, MEDIA_TYPE)


def _actions(refusal: ServiceError, status: int) -> list[str] | None:
    """Every 409 tells what may be done now; where only waiting helps, that is nothing."""
    if isinstance(refusal, WrongState):
        return refusal.allowed_actions
    return [] if status == 409 else None


def refused(code: str, detail: str) -> ServiceError:
    """A refusal that only HTTP knows."""
    refusal = ServiceError(detail)
    refusal.code = code
    return refusal


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of the errors a route can answer, besides those all can."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    answers: dict[int | str, dict[str, Any]] = {}
    for status in sorted({400, 401, 403, 421, 422, 431, 500, 503, *statuses}):
        codes = [code for code, meaning in CODES.items() if meaning.status == status]
        answers[status] = {"description": f"Problem with code {', '.join(f'`{code}`' for code in codes)}.", "content": {MEDIA_TYPE: schema}}
    return answers


def refusal_of(error: Exception) -> ServiceError:
    """Return what to tell of an error; `internal` for one that nobody foresaw."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, HTTPException):
        return refused(_CODE_OF_STATUS.get(error.status_code, "malformed_request"), error.detail)
    if isinstance(error, ClientDisconnect):
        return refused("client_disconnected", "the request ended before its body was complete")
    if (isinstance(error, OSError) and error.errno in _FULL) or (isinstance(error, OperationalError) and _NO_ROOM.search(str(error.orig))):
        return StorageFull("the server has no room left for this; free some space and try again")
    if isinstance(error, (OperationalError, InterfaceError, NoConnection)):
        return refused("unavailable", "the database does not answer; try again")
    return refused("internal", "the service failed; nothing was changed. Its log tells why, under this request_id")


async def http_error(request: Request, error: Exception) -> Response:
    """Answer what FastAPI refuses by itself: an unknown path, another method, a body that cannot be read."""
    assert isinstance(error, HTTPException)
    refusal = refusal_of(error)
    if refusal.code == "not_found":
        refusal.detail = f"there is nothing at {request.url.path[:200]}; /openapi.json lists what there is"
    elif refusal.code == "method_not_allowed":
        allowed = _methods_at(request)
        refusal.detail = f"{request.method} is not possible here; this address takes {' and '.join(allowed)}"
        return respond(request.state.request_id, request.url.path, refusal, {"Allow": ", ".join(allowed)})
    return respond(request.state.request_id, request.url.path, refusal, dict(error.headers or {}))


def _methods_at(request: Request) -> list[str]:
    """Return what an address takes. Routes of one address are apart in the table, so what the router says is one of them."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    return sorted(method.upper() for path, item in paths.items() if compile_path(path)[0].match(request.url.path) for method in item)


def field_problem(errors: Sequence[FieldError]) -> Invalid:
    """Return the refusal of a request whose fields are wrong."""
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Invalid(f"{first.pointer}: {first.message}{more}" if first.pointer else f"{first.message}{more}", errors=errors)


def wrong_field(pointer: str, code: str, message: str) -> Invalid:
    """Return the refusal of one field that was checked by hand; `code` is the field's, not from the closed list."""
    return field_problem([FieldError(pointer=pointer, code=code, message=message)])
