"""The routes of the files a job made."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from counterweight.contracts.artifacts import ArtifactView
from counterweight.contracts.pages import Page
from service.api.bodies import StrictRoute
from service.api.dependencies import Reader, ReadSession, service_of
from service.api.etags import IfNoneMatch
from service.api.problems import declared
from service.domain.ranges import asked_span
from service.persistence import artifacts, jobs

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=StrictRoute)

PIECE_BYTES = 256 * 1024

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FILE = {kind: {} if kind == "application/json" else _BYTES for kind in (artifacts.ANY_BYTES, *artifacts.MEDIA_TYPES.values())}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "content": _FILE},
    206: {"description": "The part that a single `Range` asks for.", "content": _FILE},
    304: {"description": "The file is the one named in `If-None-Match`."},
}


@router.get("/{job_id}/artifacts", operation_id="jobs_artifacts", responses=declared(404))
def list_artifacts(caller: Reader, session: ReadSession, job_id: str) -> Page[ArtifactView]:
    """List the files the job made; there are none before it has succeeded."""
    job = jobs.get(session, caller.project_id, job_id)
    return Page(data=[artifacts.view(artifact) for artifact in artifacts.of_job(session, job)])


@router.get("/{job_id}/artifacts/{name}", operation_id="jobs_download", response_class=Response, responses=_ANSWERS | declared(404, 416))
def get_artifact(request: Request, caller: Reader, known: IfNoneMatch, job_id: str, name: str) -> Response:
    """Download a file, or the part of it that a single `Range` asks for. `Repr-Digest` holds the SHA-256 of the whole."""
    service = service_of(request)
    # Closed before the file is sent: a slow reader must not keep a connection to the database.
    with service.database.read() as session:
        artifact = artifacts.get(session, jobs.get(session, caller.project_id, job_id), name)
        path, size, media_type = service.files.path(artifact.path), artifact.bytes, artifacts.media_type(artifact)
    etag = f'"{artifact.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(artifact.sha256)).decode()}:",
        "Content-Disposition": f'attachment; filename="{artifact.name}"',
        "Cache-Control": "private, no-cache",
    }
    if known.includes(etag):
        return Response(status_code=304, headers=headers)
    # A part is asked for to go on with a file that was begun: of another file it would be of no use.
    is_same = request.headers.get("if-range", etag) == etag
    span = asked_span(request.headers.get("range"), size) if is_same else None
    if span is not None:
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{size}"
    if path.stat().st_size != size:
        raise OSError(f"{artifact.path} has not the {size} bytes that the record tells of")
    sent = span or range(size)
    headers["Content-Length"] = str(len(sent))
    return StreamingResponse(_pieces(path, sent), 200 if span is None else 206, headers, media_type)


def _pieces(path: Path, span: range) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(span.start)
        left = len(span)
        while left > 0 and (piece := file.read(min(left, PIECE_BYTES))):
            yield piece
            left -= len(piece)
