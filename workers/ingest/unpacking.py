"""How much an archive may unpack to, counted while it does."""

import os
from typing import Protocol

from workers.ingest.errors import Unreadable, shown

MEMBER_LIMIT_BYTES = 64 << 20
TOTAL_LIMIT_BYTES = 64 << 30
RATIO_LIMIT = 200
"""Images are compressed already; a tar archive of tiny ones, all padding, shrinks to a twentieth."""
FREE_BYTES = 64 << 20
"""So much may be unpacked from however little."""
_CHUNK_BYTES = 1 << 20
_TAR_BLOCK = 512


class Readable(Protocol):
    """An open file."""

    def read(self, size: int, /) -> bytes: ...


class Allowance:
    """What an archive of `archive_bytes` may still unpack to."""

    def __init__(self, archive_bytes: int) -> None:
        self._archive_bytes, self._unpacked = archive_bytes, 0
        self._limit = min(TOTAL_LIMIT_BYTES, max(FREE_BYTES, RATIO_LIMIT * archive_bytes))

    def check_member(self, size: int, name: str) -> None:
        """Refuse a member by the size its header tells, before any of it is read."""
        if not 0 <= size < MEMBER_LIMIT_BYTES:
            raise Unreadable(
                "too_large_member", f"{shown(name)} has {size} bytes; a file in an archive may have up to {MEMBER_LIMIT_BYTES - 1}."
            )
        if self._unpacked + size > self._limit:
            raise self._bomb()

    def count(self, size: int) -> None:
        """Count bytes that were unpacked; Unreadable when they are too many."""
        self._unpacked += size
        if self._unpacked > self._limit:
            raise self._bomb()

    def _bomb(self) -> Unreadable:
        return Unreadable(
            "archive_bomb",
            f"The archive has {self._archive_bytes} bytes and unpacks to more than {self._limit}, which no archive of images does "
            f"(at most {RATIO_LIMIT} times its size, and {TOTAL_LIMIT_BYTES >> 30} GiB); upload a plain archive of the images.",
        )


class Unpacked:
    """A tar archive's bytes, read forward only and counted: what `tarfile` needs of a file to read it."""

    def __init__(self, file: Readable, allowance: Allowance) -> None:
        self._file, self._allowance, self._at, self._latest = file, allowance, 0, b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end; Unreadable when a header asks for more than any member may have."""
        if not 0 <= size < MEMBER_LIMIT_BYTES:
            raise Unreadable("too_large_member", f"A header of the archive announces {size} bytes; make and upload it again.")
        self._latest = self._file.read(size)
        self._at += len(self._latest)
        self._allowance.count(len(self._latest))
        return self._latest

    def tell(self) -> int:
        return self._at

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence != os.SEEK_SET or position < self._at:
            raise OSError("a header points backwards")
        while self._at < position and self.read(min(position - self._at, _CHUNK_BYTES)):
            pass
        return self._at

    def check_end(self) -> None:
        """Raise EOFError unless the end of the archive was seen; read what follows it, so that its checksum is compared."""
        if self._latest != bytes(_TAR_BLOCK):
            raise EOFError("it is cut off: the blocks that end it are missing")
        while self.read(_CHUNK_BYTES):
            pass
