"""How the columns of a table become numbers: learnt from the training rows, kept with the model."""

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from counterweight.contracts.base import View
from counterweight.contracts.datasets import MOST_CATEGORIES, Column, names_rows
from workers.training.errors import UnusableData
from workers.training.table import TEXT_TYPES, Codes, column_codes, column_numbers

VERSION = 2
"""Raised with every change of what a column is turned into; older prepared caches are then left aside."""

FEWEST_ROWS = 3
"""A category with fewer training rows shares one column with the other rare ones."""
FARTHEST = 32.0
"""Scaled numbers end here: one cell of 1e300 must not carry an infinity into the network."""

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]


class NumericColumn(View):
    """A number, scaled by `centre` and `scale`, and beside it a flag where missing cells were seen in training."""

    kind: Literal["numeric"] = "numeric"
    name: str
    centre: float
    scale: float
    flags_missing: bool

    @property
    def flags(self) -> int:
        return int(self.flags_missing)

    def scaled(self, table: pa.Table) -> NDArray[np.float64]:
        """Return the column in training deviations from the training mean, NaN where it is missing."""
        numbers = column_numbers(table, self.name)
        return np.clip((numbers / self.scale) - self.centre / self.scale, -FARTHEST, FARTHEST)


class CategoricalColumn(View):
    """A text, as one flag for each category; then one for all rare ones and one for a missing cell, where training rows had such.

    A text never seen in training counts as rare, or as none of them where nothing was rare.
    """

    kind: Literal["categorical"] = "categorical"
    name: str
    categories: list[str]
    flags_rare: bool
    flags_missing: bool

    @property
    def flags(self) -> int:
        return len(self.categories) + self.flags_rare + self.flags_missing


EncodedColumn = Annotated[NumericColumn | CategoricalColumn, Field(discriminator="kind")]


class Encoding(View):
    """All features: first every number, then every flag. `notes` tell which columns were left out, and why."""

    version: int = VERSION
    columns: list[EncodedColumn]
    notes: list[str]

    @property
    def numeric(self) -> list[NumericColumn]:
        return [column for column in self.columns if isinstance(column, NumericColumn)]

    @property
    def width(self) -> int:
        return len(self.numeric) + sum(column.flags for column in self.columns)

    @property
    def places(self) -> dict[str, list[int]]:
        """Return by column which features are made of it."""
        found: dict[str, list[int]] = {}
        number, flag = 0, len(self.numeric)
        for column in self.columns:
            found[column.name] = [*([number] if isinstance(column, NumericColumn) else []), *range(flag, flag + column.flags)]
            number += isinstance(column, NumericColumn)
            flag += column.flags
        return found

    def encode(self, table: pa.Table) -> Floats:
        """Return the features of all rows, (rows, width)."""
        features = np.zeros((table.num_rows, self.width), dtype=np.float32)
        number, flag = 0, len(self.numeric)
        for column in self.columns:
            flags = features[:, flag : flag + column.flags]
            if isinstance(column, NumericColumn):
                _write_numbers(column, table, features[:, number], flags)
                number += 1
            else:
                _write_categories(column, column_codes(table, column.name), flags)
            flag += column.flags
        return features


def fit_encoding(table: pa.Table, columns: list[Column], training_rows: Rows) -> Encoding:
    """Learn the encoding of these columns from the training rows alone."""
    encoded: list[NumericColumn | CategoricalColumn] = []
    notes: list[str] = []
    for column in columns:
        fit: Callable[[pa.Table, str, Rows], NumericColumn | CategoricalColumn | str]
        fit = _fit_categories if column.type in TEXT_TYPES else _fit_numbers
        fitted = fit(table, column.name, training_rows)
        if isinstance(fitted, str):
            notes.append(f"column {column.name!r} is not used: {fitted}")
        else:
            encoded.append(fitted)
    if not encoded:
        raise UnusableData("no column is left to learn from: " + ("; ".join(notes) or "all are excluded"), "exclude fewer columns")
    return Encoding(columns=encoded, notes=notes)


def _fit_numbers(table: pa.Table, name: str, rows: Rows) -> NumericColumn | str:
    """Return the column's scaling, or why it is of no use."""
    numbers = column_numbers(table, name)[rows]
    known = numbers[~np.isnan(numbers)]
    has_missing = len(known) < len(numbers)
    if len(known) == 0:
        return "it has no value in the training rows"
    # By way of the largest: squares of numbers beyond 1e154 overflow.
    peak = float(np.abs(known).max()) or 1.0
    centre, scale = float((known / peak).mean()) * peak, float((known / peak).std()) * peak
    if scale <= 1e-12 * peak:
        if not has_missing:
            return f"it is {known[0]:g} in all training rows"
        scale = 1.0
    return NumericColumn(name=name, centre=centre, scale=scale, flags_missing=has_missing)


def _fit_categories(table: pa.Table, name: str, rows: Rows) -> CategoricalColumn | str:
    """Return the column's categories by falling frequency, or why it is of no use."""
    column = column_codes(table, name)
    codes = column.codes[rows]
    counts = np.bincount(codes[codes >= 0], minlength=len(column.texts))
    distinct, known = int((counts > 0).sum()), int(counts.sum())
    if distinct == 0:
        return "it has no value in the training rows"
    if names_rows(distinct, known):
        return (
            f"nearly all of its cells differ ({distinct} texts in {known} training rows), so it names rows and describes none; if it holds "
            "numbers, the dataset's notes name the cell that is not one"
        )
    has_missing = known < len(codes)
    if distinct == 1 and not has_missing:
        return f"it is {column.texts[int(counts.argmax())]!r} in all training rows"
    # Ties go by the text, so that the order does not depend on where the file was cut into row groups.
    order = sorted(np.flatnonzero(counts >= FEWEST_ROWS).tolist(), key=lambda code: (-counts[code], column.texts[code]))
    kept = order[:MOST_CATEGORIES]
    return CategoricalColumn(
        name=name,
        categories=[column.texts[code] for code in kept],
        flags_rare=bool(known > counts[kept].sum()),
        flags_missing=has_missing,
    )


def _write_numbers(column: NumericColumn, table: pa.Table, values: Floats, flags: Floats) -> None:
    scaled = column.scaled(table)
    missing = np.isnan(scaled)
    values[:] = np.where(missing, 0.0, scaled)
    if column.flags_missing:
        flags[:, 0] = missing


def _write_categories(column: CategoricalColumn, cells: Codes, flags: Floats) -> None:
    place = {text: index for index, text in enumerate(column.categories)}
    rare = len(column.categories) if column.flags_rare else -1
    missing = column.flags - 1 if column.flags_missing else -1
    # One more place than texts: code -1, a missing cell, finds the last.
    places = np.array([*(place.get(text, rare) for text in cells.texts), missing], dtype=np.int64)[cells.codes]
    marked = np.flatnonzero(places >= 0)
    flags[marked, places[marked]] = 1
