"""The files of the record: written aside, synced, and only then given their name."""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from counterweight.crashpoints import crashpoint


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
        make_durable_folder(path, self.folder)
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

    def folders_older_than(self, parent: str, moment: float) -> list[str]:
        """Names of the folders in `parent` that nothing was added to since Unix second `moment`."""
        found = []
        for path in self.folder.glob(f"{parent}/*/"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < moment:
                    found.append(path.name)
        return found

    def measure(self, folders: Iterable[str], spared: Collection[str]) -> tuple[int, int]:
        """Return how many files lie in the folders, and their bytes, without those that are spared."""
        sizes = []
        for path in self._files_in(folders, spared):
            with contextlib.suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
        return len(sizes), sum(sizes)

    def remove_folders(self, folders: Collection[str], spared: Collection[str]) -> None:
        """Remove folders with all that is in them; one that holds a spared file stays, with that alone."""
        for path in self._files_in(folders, spared):
            path.unlink(missing_ok=True)
        for folder in map(self.path, folders):
            # The deepest first; what is not empty holds a file that is spared, or one that came just now.
            for path in sorted((inner for inner in (folder, *folder.rglob("*")) if inner.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()

    def _files_in(self, folders: Iterable[str], spared: Collection[str]) -> list[Path]:
        kept = {self.path(relative) for relative in spared}
        return [path for folder in map(self.path, folders) for path in folder.rglob("*") if not path.is_dir() and path not in kept]

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
        crashpoint("upload.created")

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._file.write(chunk)
        crashpoint("upload.receiving")
        self.size += len(chunk)

    def keep(self, relative: str) -> None:
        """Give the file its name, durably: it survives a power cut from here on."""
        self._file.flush()
        crashpoint("upload.before_sync")
        os.fdatasync(self._file.fileno())
        crashpoint("upload.synced")
        self._file.close()
        target = self._files.path(relative)
        make_durable_folder(target.parent, self._files.folder)
        self._path.rename(target)
        crashpoint("upload.renamed")
        sync_folder(target.parent)
        crashpoint("upload.kept")

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
