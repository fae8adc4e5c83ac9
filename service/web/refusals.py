"""What a browser sees when something is refused: a page that says what, why, and where to go; without a key, the sign-in."""

from collections.abc import Callable

from fastapi import Request, Response
from starlette.responses import RedirectResponse
from starlette.types import Scope

from service.api import problems
from service.api.codes import CODES
from service.domain.errors import ServiceError, Unauthenticated
from service.web.templates import link, page

Respond = Callable[[Scope, ServiceError], Response]

SIGN_IN = "/ui/sign-in"


def respond(scope: Scope, refusal: ServiceError) -> Response:
    """Answer a refusal: below `/ui` with a page, elsewhere with a problem."""
    request_id = scope["state"]["request_id"]
    if not scope["path"].startswith("/ui/"):
        return problems.respond(request_id, scope["path"], refusal)
    request = Request(scope)
    if isinstance(refusal, Unauthenticated):
        return _to_sign_in(request)
    meaning = CODES[refusal.code]
    return page(
        request, "refusal.html", meaning.status, status=meaning.status, title=meaning.title, detail=refusal.detail, request_id=request_id
    )


def _to_sign_in(request: Request) -> Response:
    if "hx-request" in request.headers:
        # A part of a page asks again by itself: the whole page has to go.
        return Response(status_code=401, headers={"HX-Redirect": SIGN_IN})
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(link(SIGN_IN, next=request.url.path + query) if request.method == "GET" else SIGN_IN, 303)
