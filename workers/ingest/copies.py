"""Rows that are exact copies of another: in one part of a split they count twice, in two they give the answer away."""

from pathlib import Path

import duckdb
import numpy as np

from counterweight.contracts.datasets import Column, DatasetOptions, names_rows
from workers.ingest.engine import named, quoted

_ROWS_TO_SORT = 32_000_000
"""Hashes of longer tables are counted by the database, which need not hold them in memory."""


def copy_notes(
    database: duckdb.DuckDBPyConnection, table: Path, columns: list[Column], options: DatasetOptions, target: str | None, rows: int
) -> list[str]:
    """Tell how many rows have an equal one before them, in features and class; known by a hash of 64 bits."""
    ignored = {*options.exclude, options.group_column, options.time_column, options.weight_column}
    # An image's row is its pixels: other columns, such as the file's name, are not learnt from.
    features = [it for it in columns if it.type == "image"] or [it for it in columns if not (it.name in ignored or _names_rows(it, rows))]
    compared = list(dict.fromkeys([*(it.name for it in features), *([] if target is None else [target])]))
    if target is None or len(compared) < 2:
        return []
    found = _copies(database, f"hash({', '.join(map(named, compared))})", f"read_parquet({quoted(str(table))})", rows)
    if not found:
        return []
    what = "row is an exact copy" if found == 1 else f"of {rows:,} rows are exact copies"
    return [f"{found:,} {what} of another, in features and class; a split by chance keeps copies in one part."]


def _names_rows(column: Column, rows: int) -> bool:
    """Whether a column is one that no network is shown: its text tells rows apart."""
    return column.type in ("categorical", "text") and names_rows(column.distinct, rows - column.missing)


def _copies(database: duckdb.DuckDBPyConnection, of_row: str, relation: str, rows: int) -> int:
    if rows > _ROWS_TO_SORT:
        (copies,) = database.execute(f"SELECT count(*) - count(DISTINCT {of_row}) FROM {relation}").fetchall()[0]
        return int(copies)
    hashes = database.execute(f"SELECT {of_row} AS h FROM {relation}").fetchnumpy()["h"]
    hashes.sort()
    return int(np.count_nonzero(hashes[1:] == hashes[:-1]))
