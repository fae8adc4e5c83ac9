"""A worker's home: its name, the same at every start on it, and what it leaves behind elsewhere."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import get_temp_dir
from pathlib import Path

OWNER = "home"
"""The file in a folder of temporary files that names the home it is of."""


def identity(home: Path) -> str:
    """Return the random name of this home; make it at the first start."""
    path = home / "id"
    if not path.exists():
        path.write_text(secrets.token_hex(16))
    return path.read_text()


@contextmanager
def temporary_files(home: Path) -> Iterator[None]:
    """Let the sockets of this process and its children be found, and remove those that a predecessor left which was killed.

    They are in a folder of the system's place for such, since in a home with a long path no socket could be made; the home has a link to
    it. The folder says whose it is: a copy of a home has a link to what the original uses.
    """
    link, owner = home / "temporary", str(home.resolve())
    if link.is_symlink():
        if (link / OWNER).is_file() and (link / OWNER).read_text() == owner:
            shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    # At a regular end it is removed by who made it.
    folder = Path(get_temp_dir())
    (folder / OWNER).write_text(owner)
    link.symlink_to(folder)
    try:
        yield
    finally:
        link.unlink(missing_ok=True)
