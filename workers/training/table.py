"""Reading the canonical table, and its columns as numbers or codes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterweight.contracts.datasets import Column
from workers.training.errors import UnusableData

TEXT_TYPES = ("categorical", "text", "image")
"""Columns of text in the canonical table; an image stands there as the digest of its pixels."""


@dataclass(frozen=True)
class Codes:
    """A column of text: the distinct texts, and each row's place among them, -1 where it is missing."""

    texts: list[str]
    codes: NDArray[np.int64]


def read_table(path: Path, columns: list[Column], target: str, threads: int) -> pa.Table:
    """Read the Parquet file at `path`; columns of text, and the target, come dictionary-encoded."""
    text = [column.name for column in columns if column.type in TEXT_TYPES]
    with pq.ParquetFile(path, read_dictionary=[*text, target], memory_map=True) as file:
        table = file.read(use_threads=threads > 1)
    missing = [column.name for column in columns if column.name not in table.column_names]
    if missing or target not in table.column_names:
        raise UnusableData(f"the table lacks columns {[*missing, target]}", "upload the file again")
    return table


def column_codes(table: pa.Table, name: str) -> Codes:
    """Return a column as codes; whatever is not text is written as text first."""
    column = table.column(name)
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    # Row groups may each have brought their own dictionary.
    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # a table without rows has no chunk to combine
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.string()).dictionary_encode()
    codes = pc.fill_null(column.indices.cast(pa.int64()), -1)
    return Codes(column.dictionary.cast(pa.string()).to_pylist(), codes.to_numpy(zero_copy_only=False))


def column_numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column of numbers, truths or moments (seconds since 1970) as float64, NaN where it is missing.

    UnusableData when a cell is itself NaN or infinite: it would reach every weight of the network.
    """
    numbers = _as_float64(table.column(name))
    if pc.all(pc.is_finite(numbers)).as_py() is False:
        raise UnusableData(f"column {name!r} holds NaN or infinite numbers", "replace them by empty cells or exclude the column")
    return np.asarray(numbers.to_numpy(), dtype=np.float64)


def numbers_as_they_are(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as `column_numbers` does, with whatever it holds."""
    return np.asarray(_as_float64(table.column(name)).to_numpy(), dtype=np.float64)


def _as_float64(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us")).cast(pa.int64())
        return pc.divide(column.cast(pa.float64()), 1e6)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return column.cast(pa.float64(), safe=False)
