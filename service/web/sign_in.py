"""How a browser comes in where keys exist: it trades an API key for a cookie that scripts cannot read."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import RedirectResponse

from service.api.bodies import StrictRoute
from service.api.dependencies import ReadSession, now, public, service_of
from service.api.guard import KEY_COOKIE
from service.persistence import keys
from service.web.forms import Posted
from service.web.templates import page

router = APIRouter(prefix="/ui", route_class=StrictRoute, dependencies=[Depends(public)], include_in_schema=False)

HOME = "/ui/jobs"
REMEMBERED_S = 30 * 24 * 3600

Next = Annotated[str, Query(max_length=2000, description="The page that was asked for.")]


@router.get("/sign-in")
def show_sign_in(request: Request, session: ReadSession, next: Next = HOME) -> Response:
    """Ask for a key; go on at once where none is needed."""
    if service_of(request).settings.is_loopback and not keys.any_made(session):
        return RedirectResponse(_local(next), 303)
    return page(request, "sign_in.html", next=_local(next), error=None)


@router.post("/sign-in")
def sign_in(request: Request, session: ReadSession, form: Posted) -> Response:
    """Put a valid key into the cookie. It is no session of ours: once the key is revoked, the cookie opens nothing."""
    secret, target = form.get("key", "").strip(), _local(form.get("next", HOME))
    if keys.verify(session, secret, now()) is None:
        return page(request, "sign_in.html", 403, next=target, error="This key is unknown, expired or revoked.")
    answer = RedirectResponse(target, 303)
    # The browser says how it sees this site, also where a proxy ends the encryption.
    is_encrypted = request.headers.get("origin", str(request.base_url)).startswith("https://")
    answer.set_cookie(KEY_COOKIE, secret, max_age=REMEMBERED_S, httponly=True, samesite="strict", secure=is_encrypted)
    return answer


@router.post("/sign-out")
def sign_out() -> Response:
    """Forget the key on this browser; it goes on working elsewhere."""
    answer = RedirectResponse("/ui/sign-in", 303)
    answer.delete_cookie(KEY_COOKIE, httponly=True, samesite="strict")
    return answer


def _local(target: str) -> str:
    """A page of ours: nobody is sent elsewhere by a crafted link."""
    return target if target.startswith("/ui/") and target.isprintable() and "\\" not in target else HOME
