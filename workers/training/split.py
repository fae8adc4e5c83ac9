"""Which rows train, which choose, which judge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.splits import PARTS, FoldedSplit, TimeSplit
from workers.training.copies import Keys, mixed, unique
from workers.training.errors import UnusableData
from workers.training.placing import Units, place

Parts = NDArray[np.int8]
"""The part of each row as an index into `PARTS`."""


@dataclass(frozen=True)
class Drawing:
    """Rows to be divided by lot: their classes (rows,) as indices into `classes`, and `keys` that are equal for equal rows (rows,).

    Rows with the same number in `together` (rows,) fall in one part; `bond` says in words what holds them together.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    keys: Keys
    together: Keys
    bond: str


def drawn_parts(rows: Drawing, split: FoldedSplit) -> Parts:
    """Divide each class by `split.class_parts`, or as nearly so as units allow; UnusableData where a part would lack a class.

    The lot hangs on `split.seed` and on what is in the rows, wherever in the file they stand: jobs that differ in their training seed
    train, choose and judge on the same rows, and jobs that differ in features mostly do.
    """
    seed = mixed(np.array([split.seed], dtype=np.uint64))
    units = Units.of(rows.together, rows.labels, mixed(rows.keys ^ seed))
    _check_class_sizes(rows, split)
    _check_units_of_classes(rows, units, split)
    counts = _class_counts(rows)
    if split.folds is None:
        parts = place(units, np.array([split.part_counts(count) for count in counts]).T)
    else:
        folds = place(units, np.array(split.fold_counts(counts)).T)
        parts = np.full(len(folds), PARTS.index("test"))
        rest = np.flatnonzero(folds != split.fold)
        left = np.bincount(rows.labels[rest], minlength=len(rows.classes)).tolist()
        parts[rest] = place(units.of_rows(rest), np.array([split.rest_counts(max(2, count)) for count in left]).T)
    return parts.astype(np.int8)


def timed_parts(times: NDArray[np.float64], split: TimeSplit) -> Parts:
    """Let the latest rows test, those before them validate, the others train; UnusableData where too few times differ.

    Rows of the same time stay together: the part that they would be cut by begins with them or after them, whichever is nearer.
    """
    order = np.argsort(times, kind="stable")
    cuts = np.flatnonzero(np.diff(times[order])) + 1
    if len(cuts) < split.minimum_rows - 1:
        message = f"column {split.column!r} holds {len(cuts) + 1} different times, and the parts need {split.minimum_rows}"
        raise UnusableData(message, "split by a finer time, or by chance: kind stratified")
    train, validation, test = split.part_counts(len(times))
    parts = np.zeros(len(times), dtype=np.int8)
    end = len(times)
    for part, wanted, before in ((2, train + validation, 1), (1, train, 0)):
        if part == 2 and test == 0:
            continue
        # So many cuts are left for the parts before this one.
        possible = cuts[before:][cuts[before:] < end]
        start = int(possible[np.abs(possible - wanted).argmin()])
        parts[order[start:end]] = part
        end = start
    return parts


def named_parts(names: list[str | None], column: str) -> Parts:
    """Take each row's part from the cells of a column that names them."""
    known: dict[str | None, int] = {name: index for index, name in enumerate(PARTS)}
    unknown = sorted({str(name) for name in names if name not in known})
    if unknown:
        raise UnusableData(
            f"column {column!r} cannot divide the rows: it holds {', '.join(unknown[:5])}",
            "every cell must be train, validation or test",
        )
    return np.array([known[name] for name in names], dtype=np.int8)


def _class_counts(rows: Drawing) -> list[int]:
    counts: list[int] = np.bincount(rows.labels, minlength=len(rows.classes)).tolist()
    return counts


def _check_class_sizes(rows: Drawing, split: FoldedSplit) -> None:
    for label, count in zip(rows.classes, _class_counts(rows), strict=True):
        if count < split.minimum_rows:
            raise UnusableData(
                f"class {label!r} has {count} rows, and {split.parts_named} need {split.minimum_rows}",
                "add rows of it, merge it with another class, or leave its rows out",
            )


def _check_units_of_classes(rows: Drawing, units: Units, split: FoldedSplit) -> None:
    """Each part, and each fold, needs a unit of its own with rows of the class."""
    pairs = unique(units.of_row * len(rows.classes) + rows.labels)
    for label, count in zip(rows.classes, np.bincount(pairs % len(rows.classes)).tolist(), strict=True):
        if count < split.minimum_rows:
            raise UnusableData(
                f"the rows of class {label!r} come in {count} {rows.bond}, and {split.parts_named} need {split.minimum_rows}",
                "add other rows of it, merge it with another class, or choose fewer folds or another split",
            )
