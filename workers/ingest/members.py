"""The members of an archive, one after another, in memory: nothing is unpacked to the disk, and what is unpacked is counted."""

import gzip
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from counterweight.crashpoints import crashpoint
from workers.ingest.errors import Unreadable, shown
from workers.ingest.formats import Found
from workers.ingest.unpacking import MEMBER_LIMIT_BYTES, Allowance, Unpacked

MEMBER_LIMIT = 500_000
NAME_LIMIT = 1000
_DIRECTORY_LIMIT_BYTES = 64 << 20
"""A zip archive's list of members is read whole, into some ten times its size."""
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # a header of LZMA may ask for gigabytes of memory
_ZIP_END_BYTES, _ZIP64_BYTES = 22, 76
_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RecursionError,  # tarfile goes one call deeper for each header that only announces another
)


@dataclass(frozen=True)
class Member:
    """A file of the archive; its name has no empty steps and no `.`."""

    name: str
    content: bytes


def members(path: Path, found: Found) -> Iterator[Member]:
    """Yield the files of a zip or tar archive in its own order; Unreadable for what no archive of images holds.

    Refused are names that lead out of the archive, links, devices, encryption, a name twice, and more members, bytes or compression
    than `unpacking` allows.
    """
    allowance = Allowance(path.stat().st_size)
    seen: set[str] = set()
    for member in _zip_members(path, allowance) if found.format == "zip" else _tar_members(path, found.gzipped, allowance):
        crashpoint("ingest.member")
        member = replace(member, name="/".join(step for step in member.name.split("/") if step not in ("", ".")))
        if member.name in seen:
            raise Unreadable("duplicate_member", f"The archive holds {shown(member.name)} twice; keep one of them.")
        seen.add(member.name)
        yield member


def _zip_members(path: Path, allowance: Allowance) -> Iterator[Member]:
    _check_directory(path)
    with _refusing_damage(""), zipfile.ZipFile(path) as archive:
        for place, info in enumerate(archive.infolist()):
            _check_count(place)
            _check_name(info.orig_filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise _special(info.filename, "a link" if kind == stat.S_IFLNK else "no plain file")
            if info.flag_bits & 1:
                raise Unreadable("encrypted_archive", f"{shown(info.filename)} is encrypted; make the archive without a password.")
            if info.compress_type not in _ZIP_METHODS:
                raise Unreadable(
                    "unsupported_format", f"{shown(info.filename)} is compressed by another method than deflate; make a plain zip archive."
                )
            allowance.check_member(info.file_size, info.filename)
            with _refusing_damage(info.filename), archive.open(info) as file:
                content = file.read(MEMBER_LIMIT_BYTES)
            allowance.count(len(content))
            yield Member(info.filename, content)


def _tar_members(path: Path, gzipped: bool, allowance: Allowance) -> Iterator[Member]:
    with _refusing_damage(""), path.open("rb") as packed:
        unpacked = Unpacked(gzip.GzipFile(fileobj=packed) if gzipped else packed, allowance)
        archive = tarfile.TarFile(fileobj=cast(IO[bytes], unpacked), mode="r", encoding="utf-8", errors="surrogateescape")
        place = 0
        while (info := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would keep them all
            _check_count(place)
            place += 1
            _check_name(info.name)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise _special(info.name, "a link" if info.issym() or info.islnk() else "no plain file")
            allowance.check_member(info.size, info.name)
            content = unpacked.read(info.size)
            if len(content) < info.size:
                raise _damaged(info.name, "it ends within this file")
            yield Member(info.name, content)
        unpacked.check_end()


def _check_directory(path: Path) -> None:
    """Refuse a list of members so long that reading it would take all memory."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _ZIP_END_BYTES - 0xFFFF - _ZIP64_BYTES, 0))
        ending = file.read()
    at = ending.rfind(b"PK\x05\x06")
    if at < 0 or len(ending) < at + _ZIP_END_BYTES:
        raise _damaged("", "its end is missing")
    count, size = struct.unpack_from("<HI", ending, at + 10)
    at_long = at - _ZIP64_BYTES
    if at_long >= 0 and ending[at_long:].startswith(b"PK\x06\x06"):
        count, size = struct.unpack_from("<QQ", ending, at_long + 32)
    if count > MEMBER_LIMIT or size > _DIRECTORY_LIMIT_BYTES:
        raise _too_many()


def _check_count(place: int) -> None:
    if place >= MEMBER_LIMIT:
        raise _too_many()


def _too_many() -> Unreadable:
    return Unreadable("too_many_members", f"The archive holds more than {MEMBER_LIMIT} files and folders; upload a part of them.")


def _check_name(name: str) -> None:
    """Refuse names that would lead out of the archive if it were unpacked, or that cannot be written down."""
    steps = name.split("/")
    why = None
    if not name:
        why = "is empty"
    elif len(name) > NAME_LIMIT:
        why = f"is longer than {NAME_LIMIT} characters"
    elif not (name.isascii() and name.isprintable()) and any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        why = "holds a control character, or is not UTF-8"
    elif "\\" in name:
        why = "holds a backslash"
    elif name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        why = "is absolute"
    elif ".." in steps:
        why = "leads out of the archive"
    if why is not None:
        raise Unreadable("unsafe_archive", f"The name {shown(name)} in the archive {why}; make the archive with plain relative names.")


def _special(name: str, what: str) -> Unreadable:
    return Unreadable("unsafe_archive", f"{shown(name)} in the archive is {what}; archives may hold files and folders only.")


@contextmanager
def _refusing_damage(name: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _damaged(name, str(error) or type(error).__name__) from None


def _damaged(name: str, why: str) -> Unreadable:
    where = f" at {shown(name)}" if name else ""
    return Unreadable("damaged_archive", f"The archive cannot be read{where} ({why[:200]}); make and upload it again.")
