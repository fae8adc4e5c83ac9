"""Rows known by what is in them: which are exact copies of another, and a number for each that no order of the file changes."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterweight.contracts.datasets import Column
from workers.training.table import column_codes, numbers_as_they_are

Keys = NDArray[np.uint64]
Numbers = TypeVar("Numbers", NDArray[np.uint64], NDArray[np.int64])

NUMBER_TYPES = ("numeric", "boolean", "datetime")

_MISSING = np.uint64(0x9E3779B97F4A7C15)


def column_keys(table: pa.Table, column: Column) -> Keys:
    """Return a number for each cell of a column, the same for equal cells; their sum over columns is a number for each row.

    Rows that differ share one with a chance of 1 in 2^64, for a pair: among a million rows, 1 in 37 million.
    """
    return mixed(cell_keys(table, column) ^ _of_text(column.name))


def first_keys(columns: Sequence[Keys]) -> Keys:
    """Return a number for each row, from its first columns alone, as many as tell all rows apart that differ.

    A column that is added behind them changes no number: what is drawn by these stays as it was.
    """
    different = len(unique(sum(columns[1:], columns[0])))
    keys = np.zeros_like(columns[0])
    for column in columns:
        keys = keys + column
        if len(unique(keys)) == different:
            break
    return keys


def unique(numbers: Numbers) -> Numbers:
    """Return the numbers that differ, rising: by sorting, several times as fast as numpy's own way for whole numbers."""
    ordered = np.sort(numbers)
    is_new = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    return np.asarray(ordered[is_new])


def cell_keys(table: pa.Table, column: Column) -> Keys:
    """Return a number for each cell, the same for equal cells of whatever column."""
    if column.type not in NUMBER_TYPES:
        cells = column_codes(table, column.name)
        return np.array([*map(_of_text, cells.texts), _MISSING], dtype=np.uint64)[cells.codes]
    # 0.0 is added, so that -0.0 and 0.0, which are equal, have the same bits.
    numbers = numbers_as_they_are(table, column.name) + 0.0
    return np.where(np.isnan(numbers), _MISSING, numbers.view(np.uint64))


def is_missing(keys: Keys) -> NDArray[np.bool_]:
    """Whether cells with these keys are missing."""
    return np.asarray(keys == _MISSING)


def mixed(keys: Keys) -> Keys:
    """Return keys scrambled one to one, so that each bit hangs on all: the last step of SplitMix64 (Steele et al., 2014)."""
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def _of_text(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(text.encode(), digest_size=8).digest()))
