"""Styles, scripts and pictures: the files of `static/`, under an address that holds a digest of them all."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import FileResponse

from service.api.bodies import StrictRoute
from service.api.dependencies import public
from service.domain.errors import NotFound

router = APIRouter(prefix="/static", route_class=StrictRoute, dependencies=[Depends(public)], include_in_schema=False)

FOLDER = Path(__file__).parent / "static"

MEDIA_TYPES = {
    "": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
"""What may lie in the folder. Told by us: the host's own list differs from one to the next, and `nosniff` makes it binding."""

FOR_EVER = "public, max-age=31536000, immutable"


@router.get("/{version}/{name:path}")
def get_static_file(request: Request, version: str, name: str) -> Response:
    """Send a file; one asked for under today's version may be kept for ever."""
    # Looked up, never joined to a folder: a name that leads elsewhere is none of these.
    path = _files().get(name)
    if path is None:
        raise NotFound(f"there is no file {name[:200]!r} here")
    etag = f'"{static_version()}"'
    headers = {"ETag": etag, "Cache-Control": FOR_EVER if version == static_version() else "no-cache"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, headers=headers, media_type=MEDIA_TYPES[path.suffix])


def static_url(name: str) -> str:
    """Return the address of a file of `static/`. It changes with any of them, so that scripts can import each other by relative names."""
    if name not in _files():
        raise ValueError(f"{name!r} is not in {FOLDER.name}/")
    return f"/static/{static_version()}/{name}"


@cache
def static_version() -> str:
    """Return a digest of all files and their names."""
    whole = hashlib.sha256()
    for name, path in sorted(_files().items()):
        whole.update(f"{name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


@cache
def _files() -> dict[str, Path]:
    return {str(path.relative_to(FOLDER)): path for path in FOLDER.rglob("*") if path.is_file()}
