"""The API's own pages: Swagger UI from our own files, and the list of error codes that problems point to."""

from dataclasses import asdict

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import JSONResponse

from counterweight.contracts.problems import problem_type
from service.api.bodies import StrictRoute
from service.api.codes import CODES, FILE_CODES, JOB_CODES, STUDY_CODES
from service.api.dependencies import public
from service.api.negotiation import preferred
from service.web.templates import page

router = APIRouter(prefix="/docs", route_class=StrictRoute, dependencies=[Depends(public)], include_in_schema=False)


@router.get("")
def show_api(request: Request) -> Response:
    """Every route, to be read and tried."""
    return page(request, "docs.html")


@router.get("/errors")
def list_errors(request: Request) -> Response:
    """Every code of a problem, its meaning and the way out: a page for people, JSON for programs."""
    lists = {"answers": CODES, "jobs": JOB_CODES, "studies": STUDY_CODES, "files": FILE_CODES}
    if preferred(request.headers.get("accept"), ("application/json", "text/html")) == "text/html":
        return page(request, "errors.html", **lists)
    entries = [
        {"code": code, **asdict(meaning), "type": problem_type(code), "of": name}
        for name, found in lists.items()
        for code, meaning in found.items()
    ]
    return JSONResponse({"data": entries, "next": None})
