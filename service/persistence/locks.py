"""Locks that the kernel lets go of however their holder ends, unlike a pid file."""

import fcntl
import time
from pathlib import Path
from typing import TextIO


def hold(path: Path, timeout_s: float = 0.0) -> TextIO | None:
    """Lock a file for as long as the returned handle is open; None when another process still has it after `timeout_s`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                return None
            time.sleep(0.1)
        else:
            return file


def sign(file: TextIO, owner: str) -> None:
    """Write into a held lock who holds it, for whoever meets it locked."""
    file.truncate(0)
    file.write(owner)
    file.flush()
