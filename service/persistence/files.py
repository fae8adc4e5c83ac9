"""The files of the record: written aside, synced, and only then given their name."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self


class Files:
    """A folder all processes of a deployment share. Paths in the record are relative to it and made by the server alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, relative: str) -> Path:
        """Where a recorded file lies. ValueError for a path that leaves the folder."""
        path = (self.folder / relative).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise ValueError(f"{relative!r} leaves the files' folder")
        return path

    def make_folder(self, relative: str) -> Path:
        path = self.path(relative)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def make_attempt_folder(self, parent: str, fence: int) -> Path:
        """Make the folder of an attempt, durably, and remove what attempts before it left: never what a later one made."""
        folder = self.path(f"{parent}/{fence}")
        make_durable_folder(folder, self.folder)
        for sibling in folder.parent.iterdir():
            if sibling.name.isdigit() and int(sibling.name) < fence:
                shutil.rmtree(sibling, ignore_errors=True)
        return folder

    def receive(self) -> "Incoming":
        """Start a file of unknown size; use as a context manager, so that one that is not kept leaves nothing."""
        return Incoming(self, self._incoming / secrets.token_hex(16))

    def older_than(self, moment: float) -> list[str]:
        """Uploads, whole or unfinished, last written before Unix second `moment`, as recorded paths."""
        found = []
        for path in (*self._incoming.iterdir(), *self.folder.glob("datasets/*/source")):
            with contextlib.suppress(FileNotFoundError):  # An upload that was just now finished, or given up.
                if path.stat().st_mtime < moment:
                    found.append(str(path.relative_to(self.folder)))
        return found

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files, and folders that are empty then."""
        for path in map(self.path, paths):
            path.unlink(missing_ok=True)
            if path.parent != self._incoming:
                with contextlib.suppress(OSError):
                    path.parent.rmdir()


class Incoming:
    """A file being received: hashed and counted on the way to the disk."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files, self._path = files, path
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._file.write(chunk)
        self.size += len(chunk)

    def keep(self, relative: str) -> None:
        """Give the file its name, durably: it survives a power cut from here on."""
        self._file.flush()
        os.fdatasync(self._file.fileno())
        self._file.close()
        target = self._files.path(relative)
        make_durable_folder(target.parent, self._files.folder)
        self._path.rename(target)
        sync_folder(target.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def make_durable_folder(folder: Path, root: Path) -> None:
    """Make `folder` and its parents under `root`, each durably entered in the one above it."""
    missing = [path for path in (folder, *folder.parents) if path.is_relative_to(root) and not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable: a synced file under an unsynced name can vanish with the power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
