"""Templates become answers: the environment they are filled in, and the headers pages leave with."""

from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import HTMLResponse

from service.web import formats
from service.web.static_files import static_url

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "templates"

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing evaluated, nothing from elsewhere: a name that holds markup stays a name."""


def page(request: Request, template: str, code: int = 200, /, **content: Any) -> HTMLResponse:
    """Fill in a template; `content` is what it names."""
    always = {
        "address": address(request),
        "path": request.url.path,
        "caller": request.scope["state"].get("caller"),
        "now": datetime.now(UTC),
    }
    html = _environment().get_template(template).render(always | content)
    # Under `no-referrer` browsers say `Origin: null` of forms, and the guard could not tell ours from a foreign page's.
    return HTMLResponse(html, code, {"Content-Security-Policy": CONTENT_POLICY, "Referrer-Policy": "same-origin"})


def address(request: Request) -> str:
    """Where this server is, as the browser sees it."""
    return str(request.base_url).rstrip("/")


def link(path: str, **query: str | None) -> str:
    """Return a path with the parameters that are not empty."""
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


@cache
def _environment() -> "Environment":
    # Imported here and not above: a service that nobody looks at should not start later for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    environment.globals |= {"static": static_url, "link": link, "version": version("counterweight")}
    environment.filters |= formats.FILTERS
    return environment
