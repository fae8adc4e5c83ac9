"""Downloading a file so that it is whole or absent: gone on with after a break, and checked against its digest."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from counterweight._transport import Transport
from counterweight.contracts.artifacts import ArtifactView
from counterweight.errors import DigestMismatch, ServerFailed, ServerUnreachable

TRIES = 5
"""So many breaks in a row, without a byte between them, end a download."""


def download(transport: Transport, artifact: ArtifactView, target: Path, pause: Callable[[float], None] = time.sleep) -> Path:
    """Write a file of a job at `target`; DigestMismatch, and no file, when its bytes are not those of the record.

    What a break leaves lies beside it, under the digest's name, and the next call goes on from there.
    """
    partial = target.with_name(f".{target.name}.{artifact.sha256[:12]}.part")
    left, had = TRIES, -1
    while (size := _size(partial)) < artifact.bytes:
        left, had = (TRIES if size > had else left - 1), size
        try:
            _go_on(transport, artifact, partial, size)
        except (ServerUnreachable, ServerFailed):
            if left <= 0:
                raise
            pause(min(8.0, 0.5 * 2.0 ** (TRIES - left)))
    if artifact.bytes == 0:
        partial.touch()
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != artifact.sha256:
        partial.unlink()
        raise DigestMismatch(f"what came as {artifact.name} has the SHA-256 {found}, not {artifact.sha256}; download it again")
    partial.replace(target)
    return target


def _go_on(transport: Transport, artifact: ArtifactView, partial: Path, size: int) -> None:
    asked = {"Range": f"bytes={size}-", "If-Range": f'"{artifact.sha256}"'} if size else {}
    with (
        transport.stream(artifact.links["self"].removeprefix("/api/v1"), asked) as answer,
        # Whatever does not go on with a part is the whole file, from its start.
        partial.open("ab" if answer.status_code == 206 else "wb") as file,
    ):
        # As they come: pieces gathered to a size would be lost with a break.
        for piece in answer.iter_bytes():
            file.write(piece)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
