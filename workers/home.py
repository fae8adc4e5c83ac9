"""A worker's home: its name, the same at every start on it, and what it leaves behind elsewhere."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import get_temp_dir
from pathlib import Path

OWNER = "home"
"""The file in a folder of sockets that names the home it is of."""


def identity(home: Path) -> str:
    """Return the random name of this home; make it at the first start."""
    path = home / "id"
    if not path.exists():
        path.write_text(secrets.token_hex(16))
    return path.read_text()


@contextmanager
def sockets(home: Path) -> Iterator[None]:
    """Let the sockets of this process and its children be found, and remove those that a predecessor left which was killed.

    They are in a folder of the system's place for such, since in a home with a long path no socket could be made; a file in the home names
    it. The folder says whose it is: a copy of a home names what the original uses.
    """
    named, owner = home / "sockets", str(home.resolve())
    if named.exists():
        left = Path(named.read_text())
        if (left / OWNER).is_file() and (left / OWNER).read_text() == owner:
            shutil.rmtree(left, ignore_errors=True)
    # At a regular end it is removed by who made it.
    folder = Path(get_temp_dir())
    (folder / OWNER).write_text(owner)
    named.write_text(str(folder))
    try:
        yield
    finally:
        named.unlink(missing_ok=True)
