"""All pages of the dashboard."""

from fastapi import APIRouter, Depends, Response
from starlette.responses import RedirectResponse

from service.api.bodies import StrictRoute
from service.api.dependencies import needs
from service.domain.errors import NotFound
from service.web import datasets, docs, jobs, losses, sign_in, studies, workers

router = APIRouter()
for part in (sign_in, jobs, studies, datasets, losses, workers, docs):
    router.include_router(part.router)

rest = APIRouter(prefix="/ui", route_class=StrictRoute, dependencies=[Depends(needs("read"))], include_in_schema=False)


@rest.get("/")
def home() -> Response:
    """The dashboard opens with the jobs."""
    return RedirectResponse("/ui/jobs", 303)


@rest.get("/{path:path}")
def nothing(path: str) -> Response:
    """Any other address below `/ui`: said on a page."""
    raise NotFound(f"there is no page /ui/{path[:200]}")


router.include_router(rest)
