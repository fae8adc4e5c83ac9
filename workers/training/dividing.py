"""Dividing the rows of a table as a job asks for, and what there is to say of rows that are alike."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterweight.contracts.datasets import Column, names_rows
from counterweight.contracts.splits import PARTS, AnySplit, ColumnSplit, FoldedSplit, GroupSplit, StratifiedSplit, TimeSplit
from workers.training.copies import Keys, cell_keys, column_keys, first_keys, is_missing, mixed, unique
from workers.training.errors import UnusableData
from workers.training.placing import Ints
from workers.training.split import Drawing, Parts, drawn_parts, named_parts, timed_parts
from workers.training.table import TEXT_TYPES, column_codes, column_numbers

VERSION = 2
"""Raised with every change of which rows fall where; older prepared caches are then left aside."""

TOLD_FROM = 0.01
"""A part is told of whose rows are off by more than this share of all, where groups or times keep it from having what was asked."""

FLATTERS = "what is measured on them flatters"


@dataclass(frozen=True)
class Division:
    """The part of each row as an index into `PARTS`, and what its owner may not expect."""

    parts: Parts
    notes: list[str]


@dataclass(frozen=True)
class Divisible:
    """A table to be divided: the classes (rows,) of its rows, its columns, and those of them that are features."""

    table: pa.Table
    labels: Ints
    classes: tuple[str, ...]
    columns: list[Column]
    features: list[Column]
    _keys: dict[str, Keys] = field(init=False, repr=False, default_factory=dict)

    def keys_of(self, columns: list[Column]) -> list[Keys]:
        """Return the keys of the cells of these columns; each column is looked at once."""
        for column in columns:
            if column.name not in self._keys:
                self._keys[column.name] = column_keys(self.table, column)
        return [self._keys[column.name] for column in columns]

    @property
    def feature_keys(self) -> Keys:
        """Return keys that are equal for rows that are equal in what describes them."""
        first, *others = self.keys_of(self.described_by)
        return sum(others, first)

    @property
    def described_by(self) -> list[Column]:
        """Return the columns that make a row what it is: an image, or all but those whose text names it, which no network is shown."""
        rows = self.table.num_rows
        images = [column for column in self.features if column.type == "image"]
        telling = [it for it in self.features if not (it.type in TEXT_TYPES and names_rows(it.distinct, rows - it.missing))]
        return images or telling or self.features

    def column(self, name: str | None) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise UnusableData(f"there is no column {name!r} to divide the rows by", "name a column of the dataset")


def divide(rows: Divisible, split: AnySplit) -> Division:
    """Divide the rows; UnusableData where that cannot be done as asked."""
    features = rows.feature_keys
    alike = _of_class(features, rows.labels)
    parts = _parts(rows, alike, split)
    counts = class_counts(parts, rows.labels, len(rows.classes))
    # By lot each part gets every class, or there is no such division; a time or a column may leave validation and test without one.
    needed = counts[counts.sum(axis=1) > 0] if isinstance(split, FoldedSplit) else counts[:1]
    for label, fewest in zip(rows.classes, needed.min(axis=0).tolist(), strict=True):
        if fewest == 0:
            raise UnusableData(f"class {label!r} would be missing from a part of the rows", _way_out(split))
    return Division(parts, [*_on_copies(features, alike, rows.labels, parts, split), *_on_shares(rows, counts, split)])


def notes_on_test_rows(rows: Divisible, parts: Parts, apart: Divisible) -> list[str]:
    """Tell of the rows of a table of its own that the training rows give away."""
    known = _of_class(rows.feature_keys, rows.labels)[parts == 0]
    first, *others = apart.keys_of(rows.described_by)
    copies = int(np.isin(_of_class(sum(others, first), apart.labels), known).sum())
    return [f"{copies:,} test rows are copies of training rows, in features and class: {FLATTERS}"] if copies else []


def _of_class(features: Keys, labels: Ints) -> Keys:
    """Return keys that are equal for rows whose features and classes are."""
    return mixed(features + mixed(labels.astype(np.uint64)))


def _parts(rows: Divisible, alike: Keys, split: AnySplit) -> Parts:
    if isinstance(split, ColumnSplit):
        cells = column_codes(rows.table, split.column)
        return named_parts([cells.texts[code] if code >= 0 else None for code in cells.codes], split.column)
    if isinstance(split, TimeSplit):
        return timed_parts(_times(rows, split), split)
    keys = first_keys(rows.keys_of(rows.columns))
    if isinstance(split, GroupSplit):
        groups = cell_keys(rows.table, rows.column(split.column))
        # A row of no group is one by itself, but for its copies.
        lone = is_missing(groups)
        groups, keys = np.where(lone, alike, groups), np.where(lone, keys, groups)
        return drawn_parts(Drawing(rows.labels, rows.classes, keys, groups, f"groups of {split.column!r}"), split)
    return drawn_parts(Drawing(rows.labels, rows.classes, keys, alike, "different rows (exact copies are kept in one part)"), split)


def _times(rows: Divisible, split: TimeSplit) -> NDArray[np.float64]:
    column = rows.column(split.column)
    times = column_numbers(rows.table, column.name)
    missing = np.flatnonzero(np.isnan(times))
    if len(missing):
        message = f"column {column.name!r} says no time in {len(missing)} rows, first in row {missing[0]}"
        raise UnusableData(message, "fill the times in, or leave these rows out")
    return times


def class_counts(parts: Parts, labels: Ints, classes: int) -> Ints:
    """Return the rows of each class in each part (parts, classes)."""
    counted = np.bincount(parts.astype(np.int64) * classes + labels, minlength=len(PARTS) * classes)
    return counted.reshape(len(PARTS), classes)


def _way_out(split: AnySplit) -> str:
    if isinstance(split, TimeSplit):
        return "a smaller share for validation and test, or another kind of split"
    return "another seed, fewer folds, or another kind of split"


def _on_copies(features: Keys, alike: Keys, labels: Ints, parts: Parts, split: AnySplit) -> list[str]:
    """Tell of rows that are alike: in one part they count twice, in two they give the answer away."""
    notes = []
    if copies := len(alike) - len(unique(alike)):
        kept = "copies were kept in one part" if isinstance(split, StratifiedSplit) else _straddling(alike, parts)
        notes.append(
            f"{copies:,} {'row is an exact copy' if copies == 1 else 'rows are exact copies'} of another, in features and class; {kept}"
        )
    if torn := _torn(features, labels):
        notes.append(f"{torn:,} rows have the features of a row of another class: no model can tell these apart")
    return notes


def _straddling(alike: Keys, parts: Parts) -> str:
    known = int(np.isin(alike[parts > 0], alike[parts == 0]).sum())
    return f"{known:,} validation and test rows are copies of training rows" + (f": {FLATTERS}" if known else "")


def _torn(features: Keys, labels: Ints) -> int:
    """Return how many rows have the same features as one of another class."""
    _, of_row, rows = np.unique(features, return_inverse=True, return_counts=True)
    classes = int(labels.max()) + 1
    return int(rows[np.bincount(unique(of_row * classes + labels) // classes) > 1].sum())


def _on_shares(rows: Divisible, counts: Ints, split: AnySplit) -> list[str]:
    """Tell of a part that has not the share asked for."""
    if isinstance(split, ColumnSplit):
        return []
    if isinstance(split, TimeSplit):
        found, wanted, what = counts.sum(axis=1)[:, None], np.array([split.part_counts(len(rows.labels))]).T, ["the"]
        why = "rows of the same time stay together"
    else:
        found, wanted = counts, np.array(split.class_parts(counts.sum(axis=0).tolist())).T
        what = [f"class {label!r}:" for label in rows.classes]
        why = "groups stay together" if isinstance(split, GroupSplit) else "exact copies stay together"
    off = np.abs(found - wanted)
    # What copies did not allow is told to the row; no group or time is expected to allow it to the row.
    if not (off > (0 if isinstance(split, StratifiedSplit) else TOLD_FROM * found.sum(axis=0))).any():
        return []
    part, index = np.unravel_index(int((off / found.sum(axis=0)).argmax()), off.shape)
    return [f"{why}: {what[index]} {PARTS[part]} part has {found[part, index]:,} rows instead of {wanted[part, index]:,}"]
