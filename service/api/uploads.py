"""Receiving a file: straight to the disk, hashed and counted on the way, never held in memory."""

from collections.abc import AsyncIterator
from pathlib import PurePosixPath

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from service.api.problems import refused, wrong_field
from service.domain.errors import Invalid, TooLarge, UnsupportedMedia
from service.persistence.files import Incoming

FORM = "multipart/form-data"
RAW = frozenset(
    {
        "text/csv",
        "text/tab-separated-values",
        "text/plain",
        "application/csv",
        "application/vnd.apache.parquet",
        "application/x-parquet",
        "application/parquet",
        "application/octet-stream",
        "application/gzip",
        "application/zstd",
        "application/zip",
        "application/x-tar",
    }
)
"""Types of a body that is the file itself. What it holds is found from its content."""

WRITE_BYTES = 512 * 1024
"""So much is gathered before a thread writes it: a hop per network packet would cost more than the writing."""

MAX_FIELD_BYTES = 1024 * 1024
ENVELOPE_BYTES = 2 * MAX_FIELD_BYTES
"""So much a form may be larger than the file in it."""


def content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def receive_raw(request: Request, incoming: Incoming, limit: int) -> None:
    """Receive a body that is the file."""
    if content_type(request) not in RAW:
        named = content_type(request) or "none"
        raise UnsupportedMedia(
            f"content type {named!r} is not taken; send {FORM} with a `file`, or the file as text/csv, application/vnd.apache.parquet or "
            "application/zip"
        )
    sink = _Sink(incoming, limit)
    async for chunk in _body(request, limit):
        await sink.add(chunk)
    await sink.finish()


async def receive_form(request: Request, incoming: Incoming, limit: int) -> dict[str, str]:
    """Receive a form's `file`; return its other fields, and the file's name as `filename`."""
    _, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:
        raise refused("malformed_request", "the Content-Type of a form names its boundary, of 1 to 70 characters")
    form, sink = _Form(boundary), _Sink(incoming, limit)
    async for chunk in _body(request, limit + ENVELOPE_BYTES):
        for piece in form.feed(chunk):
            await sink.add(piece)
    if not form.is_complete:
        raise refused("malformed_request", "the form ends before its last boundary")
    if "file" not in form.seen:
        raise wrong_field("/file", "missing", "the form has no part named `file`; with curl: -F file=@table.csv")
    await sink.finish()
    return form.texts()


async def _body(request: Request, limit: int) -> AsyncIterator[bytes]:
    """Yield the body; TooLarge as soon as it is known to be too large."""
    announced = request.headers.get("content-length", "0")
    received = 0
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"this server takes files of up to {limit} bytes (COUNTERWEIGHT_MAX_UPLOAD_BYTES)")


class _Sink:
    """Gathers pieces and writes them to the incoming file in a thread."""

    def __init__(self, incoming: Incoming, limit: int) -> None:
        self._incoming, self._limit = incoming, limit
        self._pieces: list[bytes] = []
        self._gathered = 0

    async def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._gathered += len(piece)
        if self._incoming.size + self._gathered > self._limit:
            raise _too_large(self._limit)
        if self._gathered >= WRITE_BYTES:
            await self._write()

    async def finish(self) -> None:
        await self._write()
        if self._incoming.size == 0:
            raise Invalid.at("/file", "empty_file", "the file is empty")

    async def _write(self) -> None:
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        await run_in_threadpool(self._incoming.write, b"".join(pieces))


class _Form:
    """A form as it arrives: hands out the bytes of `file`, keeps the other fields. Each part may come once."""

    def __init__(self, boundary: bytes) -> None:
        self.is_complete = False
        self.seen: set[str] = set()
        self.filename = ""
        self._fields: dict[str, bytearray] = {}
        self._part = ""
        self._header = self._value = b""
        self._pieces: list[bytes] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header,
                "on_header_value": self._add_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
            max_header_count=8,
            max_header_size=4096,
        )

    def feed(self, chunk: bytes) -> list[bytes]:
        """Read some of the form; return what of it belongs to the file."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise refused("malformed_request", f"the form cannot be read: {error}"[:300]) from None
        pieces, self._pieces = self._pieces, []
        return pieces

    def texts(self) -> dict[str, str]:
        texts = {"filename": self.filename} if self.filename else {}
        for name, value in self._fields.items():
            try:
                texts[name] = value.decode("utf-8")
            except UnicodeDecodeError:
                raise wrong_field(f"/{name}", "invalid", f"the field {name!r} is not UTF-8") from None
        return texts

    def _begin_part(self) -> None:
        self._part = ""

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._part = options.get(b"name", b"").decode("utf-8", "replace")
            if self._part == "file":
                self.filename = base_name(options.get(b"filename", b"").decode("utf-8", "replace"))
        self._header = self._value = b""

    def _end_headers(self) -> None:
        if self._part not in ("file", "name", "options"):
            raise wrong_field(
                f"/{self._part[:60]}", "extra_forbidden", f"{self._part[:60]!r} is not a field of this form; it takes file, name, options"
            )
        if self._part in self.seen:
            raise wrong_field(f"/{self._part}", "repeated", f"the form has two parts named {self._part!r}")
        self.seen.add(self._part)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "file":
            self._pieces.append(data[start:end])
            return
        field = self._fields.setdefault(self._part, bytearray())
        field += data[start:end]
        if len(field) > MAX_FIELD_BYTES:
            raise TooLarge(f"the field {self._part!r} has more than {MAX_FIELD_BYTES} bytes")

    def _end(self) -> None:
        self.is_complete = True


def base_name(filename: str) -> str:
    """Return the last part of a path as either kind of system writes it, without what does not print; at most 200 characters."""
    name = PurePosixPath(filename.replace("\\", "/")).name
    printable = "".join(char for char in name if char.isprintable()).strip()
    return "" if printable in (".", "..") else printable[:200]
