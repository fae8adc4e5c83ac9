"""Every record of a text table, checked line by line before a database sees it.

Python's csv module reads the lines that have quotes; the others only have their delimiters counted. The count of records is
independent of the database's, and a broken record is refused by its line in the original file.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from workers.ingest.dialect import Dialect
from workers.ingest.errors import Unreadable, shown
from workers.ingest.text import LINE_LIMIT_BYTES, Text


@dataclass(frozen=True)
class Shape:
    """The records below the header: how many, and how many records and blank lines stand before the first."""

    rows: int
    before: int


def check_structure(text: Text, dialect: Dialect, names: list[str], has_header: bool) -> Shape:
    """Count the records and refuse the first that does not have one field per name."""
    width = len(names)
    wanted = width - 1
    rows = before = 0
    header_pending = has_header
    delimiter, watch_returns = dialect.delimiter, text.has_carriage_returns
    csv.field_size_limit(LINE_LIMIT_BYTES)
    with text.path.open(encoding="utf-8", newline="\n") as file:
        lines = iter(file)
        number = 0
        for line in lines:
            number += 1
            start = number
            before += header_pending
            if '"' in line or (watch_returns and "\r" in line):
                fields, used = _quoted(line, lines, number, dialect)
                number += used - 1
            elif line == "\n":
                continue
            else:
                fields = line.count(delimiter)
            if header_pending:
                header_pending = False
                continue
            if fields != wanted:
                raise _wrong_width(start, line, fields + 1, names, dialect)
            rows += 1
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


def _quoted(line: str, following: Iterator[str], number: int, dialect: Dialect) -> tuple[int, int]:
    """Return the delimiters of a record that has quotes, and how many lines it takes."""
    reader = csv.reader(_limited(chain([line], following)), delimiter=dialect.delimiter, strict=True)
    try:
        return len(next(reader)) - 1, reader.line_num
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
