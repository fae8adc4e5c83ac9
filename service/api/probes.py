"""The routes outside the prefix: is it alive, is it ready, what is it."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.exc import OperationalError, ProgrammingError
from starlette.responses import RedirectResponse

import migrations
from counterweight.contracts.base import View
from service.api.bodies import StrictRoute
from service.api.dependencies import public, service_of
from service.api.problems import declared, refused
from service.persistence import revision

router = APIRouter(tags=["service"], route_class=StrictRoute, dependencies=[Depends(public)])


class Health(View):
    """What a probe is told."""

    status: str = "ok"


class Index(View):
    """Where to go from here."""

    service: str = "counterweight"
    links: dict[str, str]


@router.get("/healthz", operation_id="healthz", responses=declared())
async def healthz() -> Health:
    """Answer as long as the process is alive."""
    return Health()


@router.get("/readyz", operation_id="readyz", responses=declared())
def readyz(request: Request) -> Health:
    """Answer once requests can be served: the database answers and has this release's schema."""
    service = service_of(request)
    try:
        found = revision.current(service.database)
    except (OperationalError, ProgrammingError):
        raise refused("unavailable", "the database does not answer") from None
    if found != migrations.HEAD:
        raise refused("unavailable", f"the database is at schema {found or 'none'}; this release needs {migrations.HEAD}")
    return Health()


@router.get(
    "/", operation_id="index", response_model=Index, responses=declared() | {303: {"description": "For a browser: on to the dashboard."}}
)
async def index(request: Request) -> Index | Response:
    """Say what this is, and where its description lies; send a browser to the dashboard."""
    if "text/html" in request.headers.get("accept", ""):
        return RedirectResponse("/ui/jobs", 303)
    links = {
        "openapi": "/openapi.json",
        "datasets": "/api/v1/datasets",
        "jobs": "/api/v1/jobs",
        "dashboard": "/ui/jobs",
        "ready": "/readyz",
    }
    return Index(links=links)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    """Describe every route."""
    description: dict[str, Any] = request.app.openapi()
    return description
