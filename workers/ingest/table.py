"""The canonical table: every column in its settled type, every row in its place, written whole or not at all."""

import os
from pathlib import Path

import duckdb

from workers.ingest import cells
from workers.ingest.engine import named, quoted
from workers.ingest.errors import Unreadable
from workers.ingest.readings import Reading, selected, value_of
from workers.ingest.settling import settled
from workers.ingest.sources import Source

_CELLS_PER_GROUP = 8_000_000
_ROWS_PER_GROUP = (2048, 122_880)


def write_table(
    database: duckdb.DuckDBPyConnection, source: Source, readings: list[Reading], path: Path
) -> tuple[list[Reading], list[str]]:
    """Write the table to `path`; return the readings that fitted every cell, and what is worth a note.

    First as the sample suggests, in one pass. Only when a cell does not fit, all cells are looked at and the table is written again.
    """
    notes: list[str] = []
    try:
        _copy(database, source, readings, path)
    except duckdb.InvalidInputException as error:
        if cells.MISFIT not in str(error):
            raise
        readings, notes = settled(database, source, readings)
        _copy(database, source, readings, path)
    (written,) = database.execute(f"SELECT count(*) FROM read_parquet({quoted(str(path))})").fetchall()[0]
    if written != source.rows:
        raise Unreadable(
            "row_count_mismatch",
            f"The file has {source.rows} rows but {written} were read, and none may be lost; "
            "look for quotes that do not come in pairs, or save the file again.",
        )
    return readings, notes


def publish(partial: Path, final: Path) -> None:
    """Give a finished file its name, so that whoever sees it sees all of it, even after a power cut."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.rename(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(database: duckdb.DuckDBPyConnection, source: Source, readings: list[Reading], path: Path) -> None:
    columns = ", ".join(
        f"{value_of(source, position, reading)} AS {named(source.names[position])}" for position, reading in enumerate(readings)
    )
    smallest, largest = _ROWS_PER_GROUP
    rows = min(max(_CELLS_PER_GROUP // len(readings), smallest), largest)
    query = f"SELECT {columns} FROM {selected(source, readings, range(len(readings)))}"
    # Level 1 takes a third of the time of level 3, for files an eighth larger. To look for repeated values past some thousands of
    # them, and to filter by them, takes time and saves nothing: whole columns are read.
    options = (
        f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {rows}, "
        "DICTIONARY_SIZE_LIMIT 4096, WRITE_BLOOM_FILTER false"
    )
    database.execute(f"COPY ({query}) TO {quoted(str(path))} ({options})")
