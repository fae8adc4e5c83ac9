"""A text table as a source: decoded, its layout found, its structure checked."""

import re
from pathlib import Path

import duckdb

from counterweight.contracts.datasets import NULL_VALUES, DatasetOptions
from workers.ingest.cells import Notation
from workers.ingest.dialect import Dialect, Layout, find_layout
from workers.ingest.engine import quoted
from workers.ingest.errors import Unreadable
from workers.ingest.header import find_heading
from workers.ingest.sources import Source
from workers.ingest.structure import check_structure, record_at, rewrite_plainly
from workers.ingest.text import LINE_LIMIT_BYTES, Text, transcode


def open_csv(path: Path, gzipped: bool, options: DatasetOptions, workspace: Path) -> Source:
    """Return the text table at `path`; its UTF-8 copy lies in `workspace`. Unreadable names the line that cannot be read."""
    text = transcode(path, gzipped, options.encoding, workspace / "source.csv")
    layout = find_layout(text.path, options)
    if not layout.sample:
        if text.bytes:
            check_structure(text, layout.dialect, ["column_0"], has_header=True)  # names a quote that swallows the first line
        raise Unreadable("empty_file", "The file holds no text but blank lines; upload a table with at least a header and one row.")
    heading = find_heading(layout, options)
    dialect = layout.dialect
    if dialect.skips_blanks:
        text, dialect = rewrite_plainly(text, dialect, workspace / "rewritten.csv"), Dialect(",")
    shape = check_structure(text, dialect, heading.names, heading.has_header)
    if shape.rows == 0:
        raise Unreadable("no_rows", "The file has a header and no rows; upload a table with rows below the header.")
    if len(heading.names) == 1:
        raise Unreadable(
            "single_column",
            f"Every row has one field when parted by {layout.dialect.delimiter!r}; a table needs a target and at least one more column. "
            "If another character parts the cells, set options.delimiter.",
        )
    words = NULL_VALUES if options.null_values is None else options.null_values
    return Source(
        format="csv",
        relation=_relation(text, dialect, len(heading.names), shape.before),
        names=heading.names,
        sql_types=["VARCHAR"] * len(heading.names),
        rows=shape.rows,
        notation=Notation(layout.decimal, tuple(word.strip() for word in words)),
        place=lambda index: f"line {record_at(text, dialect, heading.has_header, index)[0]}",
        sample=_columns(layout, len(heading.names), heading.has_header),
        notes=[*text.notes, *layout.notes, *heading.notes],
    )


def unreadable_row(error: duckdb.InvalidInputException) -> Unreadable:
    """Return the refusal of a row that Python's csv module takes and the database's stricter reader does not."""
    line = re.search(r"CSV Error on Line: ([0-9]+)", str(error))
    where = f"Line {line[1]}" if line else "A row"
    return Unreadable(
        "unreadable_row",
        f"{where} cannot be read for sure: a quote or a carriage return stands outside a quoted cell; "
        'put the cell in quotes, and write a quote within it as "".',
    )


def _relation(text: Text, dialect: Dialect, width: int, before: int) -> str:
    columns = ", ".join(f"'c{position}': 'VARCHAR'" for position in range(width))
    return (
        f"read_csv({quoted(str(text.path))}, auto_detect = false, compression = 'none', header = false, skip = {before}, "
        f"""delim = {quoted(dialect.delimiter)}, quote = '"', escape = '"', new_line = '\\n', strict_mode = true, """
        f"columns = {{{columns}}}, "
        f"max_line_size = {LINE_LIMIT_BYTES + 1024}, buffer_size = {2 * LINE_LIMIT_BYTES + 4096})"
    )


def _columns(layout: Layout, width: int, has_header: bool) -> list[list[str]]:
    rows = [record for record in layout.sample[has_header:] if len(record) == width]
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]
