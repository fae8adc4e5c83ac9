"""A Parquet file as a source: validated, its types checked."""

from pathlib import Path

import duckdb

from counterweight.contracts.datasets import DatasetOptions
from workers.ingest.cells import Notation
from workers.ingest.dialect import COLUMN_LIMIT
from workers.ingest.engine import named, quoted
from workers.ingest.errors import Unreadable, shown
from workers.ingest.header import refuse_duplicates
from workers.ingest.sources import Source

_END_MAGICS = {b"PAR1", b"PARE"}
_FOOTER_LIMIT_BYTES = 64 << 20
WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
UNTYPED = '"NULL"'
"""The type of a column that holds nothing."""
MOMENTS = {"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}


def open_parquet(path: Path, database: duckdb.DuckDBPyConnection, options: DatasetOptions) -> Source:
    """Return the Parquet file at `path`; Unreadable names the column whose type is none of a table."""
    _check_ends(path)
    file = f"read_parquet({quoted(str(path))})"
    try:
        described = database.execute(f"DESCRIBE SELECT * FROM {file}").fetchall()
        names = [
            str(row[0])
            for row in database.execute(f"SELECT name FROM parquet_schema({quoted(str(path))}) WHERE num_children IS NULL").fetchall()
        ]
        (rows,) = database.execute(f"SELECT count(*) FROM {file}").fetchall()[0]
    except duckdb.Error as error:
        raise damaged(error, path) from None
    sql_types = [str(row[1]) for row in described]
    if len(sql_types) > COLUMN_LIMIT:
        raise Unreadable("too_many_columns", f"The file has {len(sql_types)} columns; at most {COLUMN_LIMIT} can be read.")
    read_names = [str(row[0]) for row in described]
    for name, sql_type in zip(read_names, sql_types, strict=True):
        _check_type(name, sql_type)
    # DuckDB renames the second of two equal names; the schema tells what the file says.
    refuse_duplicates(names if len(names) == len(read_names) else read_names)
    if rows == 0:
        raise Unreadable("no_rows", "The Parquet file has no rows.")
    if len(sql_types) == 1:
        raise Unreadable("single_column", "The Parquet file has one column; a table needs a target and at least one more.")
    columns = ", ".join(f"{named(name)} AS c{position}" for position, name in enumerate(read_names))
    words = tuple(word.strip() for word in options.null_values or ())
    return Source(
        format="parquet",
        relation=f"(SELECT {columns} FROM {file})",
        names=read_names,
        sql_types=sql_types,
        rows=rows,
        notation=Notation(".", words),
        place=lambda index: f"row {index + 1}",
        notes=_notes(database, file, names, read_names, sql_types),
    )


def _notes(database: duckdb.DuckDBPyConnection, file: str, names: list[str], read_names: list[str], sql_types: list[str]) -> list[str]:
    notes = []
    if len(names) == len(read_names):
        renamed = [(name, read) for name, read in zip(names, read_names, strict=True) if name != read]
        notes += [f"Column {shown(name)} is called {shown(read)}." for name, read in renamed]
    for name, sql_type in zip(read_names, sql_types, strict=True):
        if sql_type == "TIMESTAMP_NS":
            (finer,) = database.execute(f"SELECT count(*) FROM {file} WHERE epoch_ns({named(name)}) % 1000 <> 0").fetchall()[0]
            if finer:
                notes.append(f"Column {shown(name)}: {finer} moments are finer than a microsecond and were cut to it.")
    return notes


def damaged(error: duckdb.Error, path: Path) -> Unreadable:
    """Return the refusal of a Parquet file that the database cannot read."""
    first_line = str(error).partition("\n")[0].replace(str(path), path.name)  # where we keep it is nobody's business
    return Unreadable("damaged_parquet", f"The Parquet file cannot be read ({first_line[:200]}); write and upload it again.")


def _check_ends(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - 8, 0))
        ending = file.read(8)
    if size < 12 or ending[-4:] not in _END_MAGICS:
        raise Unreadable("damaged_parquet", "The Parquet file is cut off: it does not end in PAR1. Upload it again.")
    if ending[-4:] == b"PARE":
        raise Unreadable("unsupported_format", "The Parquet file is encrypted; write it without encryption.")
    footer = int.from_bytes(ending[:4], "little")
    if footer > min(size - 12, _FOOTER_LIMIT_BYTES):
        raise Unreadable(
            "damaged_parquet", f"The Parquet file says that its footer has {footer} bytes, which cannot be; write and upload it again."
        )


def _check_type(name: str, sql_type: str) -> None:
    simple = sql_type in WHOLE_NUMBERS | MOMENTS | {UNTYPED, "VARCHAR", "BOOLEAN", "FLOAT", "DOUBLE"}
    if (not simple and not sql_type.startswith(("DECIMAL", "ENUM"))) or sql_type.endswith("]"):
        raise Unreadable(
            "unsupported_column",
            f"Column {shown(name)} has the Parquet type {sql_type[:60]}, which is not a cell of a table; "
            "leave the column out, or write numbers or text.",
        )
