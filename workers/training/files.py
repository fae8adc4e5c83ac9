"""Writing files so that they are whole or absent."""

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from counterweight.contracts.messages import StoredFile
from counterweight.crashpoints import crashpoint


def write_whole(path: Path, content: bytes) -> str:
    """Write `content` at `path` by way of a temporary file beside it, down to the disk; return its SHA-256.

    Whoever opens `path` sees all of it or nothing, also after a power cut, and writers at the same moment do not mix.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            crashpoint("artifact.before_sync")
            os.fsync(file.fileno())
        temporary.replace(path)
        crashpoint("artifact.renamed")
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return hashlib.sha256(content).hexdigest()


def store(contents: Mapping[str, bytes], folder: Path) -> list[StoredFile]:
    """Write files by name, whole and on the disk, and return what is to be recorded of them."""
    return [
        StoredFile(name=name, path=name, bytes=len(content), sha256=write_whole(folder / name, content))
        for name, content in contents.items()
    ]


def digest(path: Path) -> str:
    """Return the SHA-256 of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
