"""Writing files so that they are whole or absent."""

import hashlib
import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> str:
    """Write `content` at `path` by way of a temporary file beside it, down to the disk; return its SHA-256.

    Whoever opens `path` sees all of it or nothing, also after a power cut, and writers at the same moment do not mix.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return hashlib.sha256(content).hexdigest()


def digest(path: Path) -> str:
    """Return the SHA-256 of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
