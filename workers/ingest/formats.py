"""Which format a file has, from its first bytes."""

import zlib
from dataclasses import dataclass
from pathlib import Path

from counterweight.contracts.datasets import DatasetFormat
from workers.ingest.errors import Unreadable

HEAD_BYTES = 4096

ARCHIVES: tuple[DatasetFormat, ...] = ("zip", "tar")
"""Formats that hold images, each in a file of its own."""

_ZIP = b"PK\x03\x04"
_TAR_MAGIC_AT = 257
_SPOKEN: dict[DatasetFormat, str] = {"csv": "text", "parquet": "Parquet", "zip": "a zip archive", "tar": "a tar archive"}
_TELLING_STARTS: list[tuple[bytes, str, str]] = [
    (b"PARE", "an encrypted Parquet file", "write it without encryption"),
    (b"PK\x03\x04", "a zip archive", "upload the archive itself, it is compressed inside"),
    (b"PK\x05\x06", "an empty zip archive", "put the images into it, or upload the CSV or Parquet file itself"),
    (b"\x28\xb5\x2f\xfd", "Zstandard compressed", "decompress it, or compress it with gzip"),
    (b"BZh", "bzip2 compressed", "decompress it, or compress it with gzip"),
    (b"\xfd7zXZ\x00", "xz compressed", "decompress it, or compress it with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it and upload the CSV or Parquet file"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it and upload the CSV or Parquet file"),
    (b"ARROW1\x00\x00", "an Arrow IPC file", "write it as Parquet"),
    (b"FEA1", "a Feather file", "write it as Parquet"),
    (b"\x93NUMPY", "a NumPy array", "write it as CSV or Parquet with named columns"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", "write it as CSV or Parquet"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook", "save the sheet as CSV"),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image", "put the images of each class in a folder of its name and upload a zip archive of all"),
    (b"\xff\xd8\xff", "a JPEG image", "put the images of each class in a folder of its name and upload a zip archive of all"),
    (b"GIF8", "a GIF image", "put the images of each class in a folder of its name and upload a zip archive of all"),
    (b"%PDF-", "a PDF document", "export its table as CSV"),
    (b"\x80\x04\x95", "a Python pickle", "write it as CSV or Parquet; pickles can run code and are never opened"),
]


@dataclass(frozen=True)
class Found:
    """A format that can be read, and whether gzip is wrapped around it."""

    format: DatasetFormat
    gzipped: bool = False


def sniff_format(path: Path, wanted: DatasetFormat | None) -> Found:
    """Return the format of the file; Unreadable when it is none we read, or not the one that was asked for."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise Unreadable("empty_file", "The file has no bytes; upload a table with at least a header and one row.")
    gzipped = head.startswith(b"\x1f\x8b")
    inner = _gunzipped(head) if gzipped else head
    if inner.startswith(b"PAR1"):
        if gzipped:
            raise Unreadable(
                "unsupported_format", "The file is gzip around Parquet; upload the Parquet file itself, it is compressed inside."
            )
        found = Found("parquet")
    elif not gzipped and inner.startswith(_ZIP):
        found = Found("zip")
    elif inner[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        found = Found("tar", gzipped)
    else:
        _refuse_recognised(inner, " of the gzip file" if gzipped else "")
        found = Found("csv", gzipped)
    if wanted is not None and wanted != found.format:
        seen = _SPOKEN[found.format] if wanted == "csv" or found.format != "csv" else f"not {_SPOKEN[wanted]}"
        raise Unreadable(
            "format_mismatch", f"options.format says {wanted!r}, but the content is {seen}; correct the option or leave it out."
        )
    return found


def _gunzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error as error:
        raise Unreadable("damaged_gzip", f"The file begins like gzip but cannot be decompressed ({error}); upload it again.") from None


def _refuse_recognised(head: bytes, where: str) -> None:
    for start, looks_like, advice in _TELLING_STARTS:
        if head.startswith(start):
            raise Unreadable("unsupported_format", f"The content{where} is {looks_like}; {advice}.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    folded = text[:200].lower()
    if text.startswith((b"{", b"[{", b"[[")):
        raise Unreadable("unsupported_format", f"The content{where} is JSON; convert it to CSV or Parquet.")
    if folded.startswith((b"<?xml", b"<!doctype", b"<html", b"<svg")):
        raise Unreadable(
            "unsupported_format",
            f"The content{where} is XML or a web page, perhaps an error page saved as a file; upload the table itself.",
        )
    if _is_arff(head):
        raise Unreadable("unsupported_format", f"The content{where} is ARFF; save it as CSV with the attribute names in the first line.")


def _is_arff(head: bytes) -> bool:
    lines = [line.strip().lower() for line in head.splitlines()]
    meaningful = [line for line in lines if line and not line.startswith(b"%")]
    return bool(meaningful) and meaningful[0].startswith(b"@relation")
