"""Places where a test lets a process die, or a disk fail. Without a folder of armed points, and so in all use, nothing happens at them."""

import errno
import os
import secrets
import signal
from functools import cache
from pathlib import Path

VARIABLE = "CRASHPOINTS_FOLDER"
"""Names the folder of armed points, read once in a process; no setting of the service, and so passed on to workers' children too.
A file of its name arms a point, which goes off once: whoever removes it."""

KILL = "KILL"


def arm(folder: Path, name: str, what: str = KILL, passes: int = 0) -> None:
    """Let the point go off when it is reached after so many times: `what` is KILL or an error of the system, such as ENOSPC."""
    _write(folder / name, passes, what)


def crashpoint(name: str) -> None:
    """Do nothing; where a test has armed this point, end the process by SIGKILL or raise the OSError it asks for."""
    folder = _folder()
    if folder is not None:
        _go_off(folder / name)


def _go_off(path: Path) -> None:
    try:
        passes, what = path.read_text().split()
        if int(passes) > 0:
            _write(path, int(passes) - 1, what)
            return
        path.unlink()
    except FileNotFoundError:
        return  # Not armed, or another process was here first.
    if what == KILL:
        os.kill(os.getpid(), signal.SIGKILL)
    number = getattr(errno, what)
    raise OSError(number, os.strerror(number))


def _write(path: Path, passes: int, what: str) -> None:
    aside = path.with_name(f".{secrets.token_hex(8)}")
    aside.write_text(f"{passes} {what}")
    aside.replace(path)


@cache
def _folder() -> Path | None:
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder else None
