"""A worker's home: its name, the same at every start on it, and what it leaves behind elsewhere."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Keep this process's temporary files, and its children's, in a folder of their own; remove that of a predecessor that was killed.

    The folder is in the system's place for such, and the home has a link to it: in a home with a long path no socket could be made. It
    says whose it is: a copy of a home has a link to what the original uses.
    """
    link, owner = home / "temporary", str(home.resolve())
    if link.is_symlink():
        if (link / OWNER).is_file() and (link / OWNER).read_text() == owner:
            shutil.rmtree(link.readlink(), ignore_errors=True)
        link.unlink()
    tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="counterweight-")
    (Path(tempfile.tempdir) / OWNER).write_text(owner)
    link.symlink_to(tempfile.tempdir)
    try:
        yield
    finally:
        link.unlink(missing_ok=True)
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)
