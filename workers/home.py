"""The name of a worker's home, the same at every start on it."""

import secrets
from pathlib import Path


def identity(home: Path) -> str:
    """Return the random name of this home; make it at the first start."""
    path = home / "id"
    if not path.exists():
        path.write_text(secrets.token_hex(16))
    return path.read_text()
