"""Every record of a text table, checked before a database sees it.

Blocks in which nothing is in doubt are counted at once (`tally`). In the others Python's csv module reads the lines that have quotes,
and the rest only have their delimiters counted. The count of records is independent of the database's, and a broken record is
refused by its line in the original file.
"""

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from workers.ingest.dialect import Dialect
from workers.ingest.errors import Unreadable, shown
from workers.ingest.tally import BLOCK_BYTES, tally
from workers.ingest.text import LINE_LIMIT_BYTES, Text


@dataclass(frozen=True)
class Shape:
    """The records below the header: how many, and how many records and blank lines stand before the first."""

    rows: int
    before: int


def check_structure(text: Text, dialect: Dialect, names: list[str], has_header: bool) -> Shape:
    """Count the records and refuse the first that does not have one field per name."""
    csv.field_size_limit(LINE_LIMIT_BYTES)
    rows = before = 0
    with text.path.open("rb") as file:
        lines = _Lines(file)
        if has_header:
            before = next((number for number, _, _ in _counted(lines, text, dialect)), 0)  # only blank lines come first
        while block := file.read(BLOCK_BYTES):
            file.seek(-len(block), os.SEEK_CUR)
            counted = tally(block, dialect.delimiter, len(names))
            if counted is None:
                rows += _judged(lines, len(block), text, dialect, names)
            else:
                rows += counted.rows
                lines.pass_over(counted.bytes, counted.lines)
    return Shape(rows, before)


def record_at(text: Text, dialect: Dialect, has_header: bool, index: int) -> tuple[int, list[str]]:
    """Return the line on which record `index` (0-based, below the header) begins, and its fields."""
    for position, (line, fields) in enumerate(_records(text.path, dialect)):
        if position == index + has_header:
            return line, fields
    raise IndexError(index)


def rewrite_plainly(text: Text, dialect: Dialect, copy: Path) -> Text:
    """Write the table with commas and without blanks around them, keeping each record on its line.

    For runs of blanks as delimiters and blanks before quotes, which the database's reader does not know.
    """
    csv.field_size_limit(LINE_LIMIT_BYTES)
    written = Text(copy, text.bytes, text.has_carriage_returns, text.notes)
    at_line = 1
    with copy.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for line, fields in _records(text.path, dialect):
            out.write("\n" * (line - at_line))
            writer.writerow(fields)
            at_line = line + 1 + sum(field.count("\n") for field in fields)
    return written


def _records(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        lines = (line.strip(" ") for line in file) if dialect.delimiter == " " else iter(file)
        reader = csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=dialect.skips_blanks, strict=True)
        while True:
            start = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise _broken(start, error) from None
            if fields is None:
                return
            if fields:
                yield start, fields


class _Lines:
    """The lines of an open file from where it stands, counted."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        self.number += 1
        self.bytes += len(line)
        return line.decode()

    def pass_over(self, count: int, lines: int) -> None:
        self._file.seek(count, os.SEEK_CUR)
        self.number += lines
        self.bytes += count


def _judged(lines: _Lines, size: int, text: Text, dialect: Dialect, names: list[str]) -> int:
    """Count the records of the next `size` bytes, and of the last one's remainder, one by one; refuse the first of another width."""
    rows, end = 0, lines.bytes + size
    for number, line, fields in _counted(lines, text, dialect):
        if fields != len(names):
            raise _wrong_width(number, line, fields, names, dialect)
        rows += 1
        if lines.bytes >= end:
            break
    return rows


def _counted(lines: _Lines, text: Text, dialect: Dialect) -> Iterator[tuple[int, str, int]]:
    """Yield each record's line, the text of that line, and how many fields the record has."""
    for line in lines:
        number = lines.number
        if '"' in line or (text.has_carriage_returns and "\r" in line):
            yield number, line, _fields_in_quotes(line, lines, number, dialect)
        elif line != "\n":
            yield number, line, line.count(dialect.delimiter) + 1


def _fields_in_quotes(line: str, following: Iterator[str], number: int, dialect: Dialect) -> int:
    """Return the number of fields of a record that has quotes and may go on in the lines that follow."""
    reader = csv.reader(_limited(chain([line], following)), delimiter=dialect.delimiter, strict=True)
    try:
        return len(next(reader))
    except csv.Error as error:
        raise _broken(number, error) from None


def _limited(lines: Iterator[str]) -> Iterator[str]:
    size = 0
    for line in lines:
        size += len(line)
        if size > LINE_LIMIT_BYTES:
            raise csv.Error("unexpected end of data")
        yield line


def _broken(line: int, error: csv.Error) -> Unreadable:
    said = str(error)
    if "new-line character" in said:
        return Unreadable(
            "stray_line_end", f"Line {line} holds a carriage return within a cell that has no quotes; remove it, or put the cell in quotes."
        )
    if "unexpected end of data" in said or "field larger" in said:
        return Unreadable(
            "unclosed_quote",
            f'Line {line}: a quote (") opens a cell here and is never closed; close it, or write a quote within a cell as "".',
        )
    return Unreadable(
        "unclosed_quote",
        f'Line {line}: a quote (") that closes a cell is followed by more text ({said}); '
        'close every quoted cell before its delimiter, and write a quote within a cell as "".',
    )


def _wrong_width(number: int, line: str, found: int, names: list[str], dialect: Dialect) -> Unreadable:
    width = len(names)
    if found < width:
        where = f"it ends before column {shown(names[found])}"
        code = "too_few_fields"
    else:
        where = f"it goes on after the last column {shown(names[-1])}"
        code = "too_many_fields"
    return Unreadable(
        code,
        f"Line {number} has {found} field{'s' * (found != 1)} where the others have {width}: {where} ({shown(line.rstrip())}). "
        f"Correct the line; a cell that holds the delimiter {dialect.delimiter!r} must be in quotes.",
    )
