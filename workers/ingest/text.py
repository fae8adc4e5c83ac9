"""The bytes of a text table, decoded by Python and written as UTF-8 with `\\n` line ends, in constant memory.

A file that is so already is checked and read where it lies.
"""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from workers.ingest.errors import Unreadable

CHUNK_BYTES = 4 << 20
_LINE_FEED = b"\n"
LINE_LIMIT_BYTES = 16 << 20
GZIP_RATIO_LIMIT = 200
GZIP_FREE_BYTES = 64 << 20
"""Small files may have any ratio: a table of zeros packs well."""

_MARKS = [  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
_NOT_FOR_FILES = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "unicode-escape", "raw-unicode-escape"}


@dataclass
class Text:
    """A file as UTF-8, or a copy of it as that. Its line numbers are those of the original."""

    path: Path
    bytes: int = 0
    has_carriage_returns: bool = False
    notes: list[str] = field(default_factory=list)


def transcode(source: Path, gzipped: bool, encoding: str | None, copy: Path) -> Text:
    """Write `source` as UTF-8 to `copy`, unless it is so already; Unreadable names the byte and the line that cannot be decoded."""
    with source.open("rb") as file:
        head = next(_chunks(source, gzipped), b"")[:65536] if gzipped else file.read(65536)
    codec, note = _codec(head, encoding)
    needs_copy = gzipped or not _is_utf8(codec) or head.startswith(codecs.BOM_UTF8) or _has_carriage_returns(source)
    try:
        text = _write(source, gzipped, codec, copy) if needs_copy else _check(source)
    except _BadByte as bad:
        if encoding is not None or codec != "utf-8":
            raise bad.refusal(codec) from None
        text, note = _as_legacy(source, gzipped, copy, bad)
    if note:
        text.notes.append(note)
    return text


def _codec(head: bytes, encoding: str | None) -> tuple[str, str | None]:
    if encoding is not None:
        if encoding.replace("_", "-") in {name.replace("_", "-") for name in _NOT_FOR_FILES}:
            raise Unreadable(
                "bad_encoding", f"{encoding!r} is not an encoding of files; name the one the file was saved in, such as utf-8."
            )
        return encoding, None
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return codec, None
    # Western text in UTF-16 has a zero in every other byte.
    for codec, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(head) >= 4 and zeros.count(0) > 0.7 * len(zeros) and head.count(0) < 0.6 * len(head):
            return codec, f"The file has no byte order mark and was read as {codec}; set options.encoding if that is wrong."
    return "utf-8", None


def _as_legacy(source: Path, gzipped: bool, copy: Path, bad: "_BadByte") -> tuple[Text, str]:
    for codec in ("cp1252", "latin-1"):
        try:
            text = _write(source, gzipped, codec, copy)
        except _BadByte:
            continue
        return text, f"The file is not UTF-8 (first on line {bad.line}) and was read as {codec}; set options.encoding if that is wrong."
    raise AssertionError("latin-1 decodes every byte")


@dataclass
class _BadByte(Exception):
    offset: int
    line: int
    found: bytes

    def refusal(self, codec: str) -> Unreadable:
        return Unreadable(
            "bad_encoding",
            f"Line {self.line}: byte {self.offset} (0x{self.found.hex()}) is not {codec}; "
            "set options.encoding to the encoding the file was saved in, such as cp1252, or save it as UTF-8.",
        )


def _write(source: Path, gzipped: bool, codec: str, copy: Path) -> Text:
    text = Text(copy)
    with copy.open("wb") as out:
        for part in _checked(_with_line_feeds(_as_utf8(source, gzipped, codec))):
            text.has_carriage_returns |= b"\r" in part
            text.bytes += out.write(part)
    return text


def _check(source: Path) -> Text:
    return Text(source, sum(len(part) for part in _checked(_as_utf8(source, False, "utf-8"))))


def _has_carriage_returns(source: Path) -> bool:
    return any(b"\r" in chunk for chunk in _chunks(source, False))


def _checked(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Pass on the parts of a text; Unreadable for a NUL or a line that is too long."""
    lines, open_line = 0, 0  # complete lines so far; bytes of the line still open
    for part in parts:
        nul = part.find(0)
        if nul >= 0:
            raise Unreadable(
                "nul_byte",
                f"Line {lines + part.count(_LINE_FEED, 0, nul) + 1} holds a NUL character, which no text table has; "
                "the file is binary or damaged. Upload the CSV or Parquet file itself.",
            )
        first = part.find(_LINE_FEED)
        if open_line + (first if first >= 0 else len(part)) > LINE_LIMIT_BYTES:
            raise Unreadable(
                "line_too_long",
                f"Line {lines + 1} is longer than {LINE_LIMIT_BYTES >> 20} MiB; no row of a table is: "
                "check the line ends, or whether this is the right file.",
            )
        open_line = open_line + len(part) if first < 0 else len(part) - 1 - part.rfind(_LINE_FEED)
        lines += part.count(_LINE_FEED)
        yield part


def _is_utf8(codec: str) -> bool:
    return codecs.lookup(codec).name in ("utf-8", "utf-8-sig")


def _as_utf8(source: Path, gzipped: bool, codec: str) -> Iterator[bytes]:
    """Yield the text as UTF-8, chunk by chunk, without the byte order mark."""
    decoder = codecs.getincrementaldecoder(codec)()
    is_utf8 = _is_utf8(codec)
    consumed = 0
    for index, (chunk, final) in enumerate(_with_last(_chunks(source, gzipped))):
        pending = decoder.getstate()[0] if consumed else b""
        try:
            if is_utf8 and not pending and chunk.isascii():
                part = chunk
            else:
                text = decoder.decode(chunk, final)
                part = chunk if is_utf8 else text.encode()
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(codec, errors="replace")
            line = _line_of_chunk(source, gzipped, codec, index) + _line_ends(before)
            raise _BadByte(consumed - len(pending) + error.start, line, error.object[error.start : error.end][:4]) from None
        except UnicodeError as error:
            line = _line_of_chunk(source, gzipped, codec, index)
            raise Unreadable("bad_encoding", f"Line {line} or one soon after it cannot be decoded as {codec} ({error}).") from None
        yield part.removeprefix(codecs.BOM_UTF8) if consumed == 0 else part
        consumed += len(chunk)


def _line_of_chunk(source: Path, gzipped: bool, codec: str, index: int) -> int:
    """Return the line on which a chunk begins; all before it can be decoded."""
    before = islice(_as_utf8(source, gzipped, codec), index)
    return 1 + sum(part.count(_LINE_FEED) or part.count(b"\r") for part in before)


def _line_ends(text: str) -> int:
    return text.count("\n") or text.count("\r")


def _with_line_feeds(parts: Iterator[bytes]) -> Iterator[bytes]:
    r"""Yield the text with `\n` for `\r\n`, and for a lone `\r` when the file has no other line ends."""
    only_returns: bool | None = None
    held = b""
    for part, final in _with_last(parts):
        text, held = held + part, b""
        if text.endswith(b"\r") and not final:
            text, held = text[:-1], b"\r"  # its line feed may be the next part's first byte
        if b"\r" in text:
            if only_returns is None:
                only_returns = _LINE_FEED not in text
            text = text.replace(b"\r\n", _LINE_FEED)
            text = text.replace(b"\r", _LINE_FEED) if only_returns else text
        elif _LINE_FEED in text:
            only_returns = False
        yield text[:-1] + _LINE_FEED if final and text.endswith(b"\r") else text


def _with_last(chunks: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    current = next(chunks, b"")
    for following in chunks:
        yield current, False
        current = following
    yield current, True


def _chunks(source: Path, gzipped: bool) -> Iterator[bytes]:
    if not gzipped:
        with source.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
        return
    limit = max(GZIP_FREE_BYTES, GZIP_RATIO_LIMIT * source.stat().st_size)
    seen = 0
    try:
        with gzip.open(source, "rb") as packed:
            while chunk := packed.read(CHUNK_BYTES):
                seen += len(chunk)
                if seen > limit:
                    raise Unreadable(
                        "gzip_bomb",
                        f"The file unpacks to more than {GZIP_RATIO_LIMIT} times its size; upload it uncompressed, or as Parquet.",
                    )
                yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise Unreadable("damaged_gzip", f"The gzip data is cut off or damaged ({error}); compress and upload it again.") from None
