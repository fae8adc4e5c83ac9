"""The column to predict: which one it is, its classes, and which class is the event."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import duckdb

from counterweight.contracts.datasets import ClassShare, DatasetOptions
from workers.ingest.engine import named, quoted
from workers.ingest.errors import Unreadable, listed, shown, unknown_column
from workers.ingest.numbers import is_number
from workers.ingest.sources import Source

CLASS_LIMIT = 1000
FEW_CLASSES = 20
FRACTION_CLASS_LIMIT = 10
WHOLE_NUMBER_CLASS_LIMIT = 100
ROWS_PER_NUMBER_CLASS = 20


def target_position(options: DatasetOptions, names: list[str]) -> int | None:
    """Return the position of the target column; None when the options name none."""
    for name in options.exclude:
        if name not in names:
            raise unknown_column(name, names, "options.exclude")
    for option in ("group_column", "time_column", "weight_column"):
        column = getattr(options, option)
        if column is not None and column not in names:
            raise unknown_column(column, names, f"options.{option}")
    if options.target is None:
        return None
    if isinstance(options.target, str):
        if options.target not in names:
            raise unknown_column(options.target, names, "options.target")
        return names.index(options.target)
    if options.target >= len(names):
        raise Unreadable(
            "unknown_column",
            f"options.target is position {options.target}, counted from 0, but the file has {len(names)} columns: {listed(names)}.",
        )
    return options.target


def find_classes(database: duckdb.DuckDBPyConnection, table: Path, source: Source, target: str) -> list[ClassShare]:
    """Return the classes in class order; Unreadable when a label is missing or the column is no set of classes."""
    relation = f"read_parquet({quoted(str(table))}, file_row_number = true)"
    missing, first = database.execute(f"SELECT count(*), min(file_row_number) FROM {relation} WHERE {named(target)} IS NULL").fetchall()[0]
    if missing:
        raise Unreadable(
            "missing_labels",
            f"{missing} row{'s have' if missing > 1 else ' has'} no label in the target {shown(target)}, first on {source.place(first)}; "
            "fill the labels in or delete the rows. If a word such as 'NA' is a class here, set options.null_values without it.",
        )
    (distinct,) = database.execute(f"SELECT count(DISTINCT {named(target)}) FROM {relation}").fetchall()[0]
    if distinct > CLASS_LIMIT:
        raise _not_classes(target, f"has {distinct} different labels, and at most {CLASS_LIMIT} classes can be trained")
    counted = database.execute(f"SELECT {named(target)}, count(*) FROM {relation} GROUP BY 1").fetchall()
    labels = {str(label): int(rows) for label, rows in counted}
    _refuse_what_is_no_class(target, labels, source.rows)
    return [ClassShare(label=label, count=labels[label], fraction=labels[label] / source.rows) for label in class_order(labels)]


def label_notes(classes: list[ClassShare]) -> list[str]:
    """Tell of labels that differ in nothing but case: they stay apart, and are often one class."""
    alike: dict[str, list[ClassShare]] = {}
    for share in classes:
        alike.setdefault(share.label.casefold(), []).append(share)
    return [
        f"The labels {' and '.join(f'{shown(share.label)} ({share.count} rows)' for share in group)} differ in case only and were kept as "
        "classes of their own; if they are one class, write them alike."
        for group in alike.values()
        if len(group) > 1
    ]


def class_order(labels: Sequence[str] | dict[str, int]) -> list[str]:
    """Return the labels in class order: by value when all are numbers, by code point otherwise."""
    if all(is_number(label) for label in labels):
        return sorted(labels, key=lambda label: (Decimal(label), label))
    return sorted(labels)


def find_positive_label(options: DatasetOptions, classes: list[ClassShare]) -> str | None:
    """Return the event: the label that was asked for, else the rarer of two classes, the later one on a tie."""
    if options.positive_label is not None:
        labels = [share.label for share in classes]
        wanted = options.positive_label.strip()
        if wanted not in labels:
            raise Unreadable(
                "unknown_label", f"options.positive_label is {shown(wanted)}, which no row has; the labels are {listed(labels)}."
            )
        return wanted
    if len(classes) != 2:
        return None
    return min(reversed(classes), key=lambda share: share.count).label


def _refuse_what_is_no_class(target: str, labels: dict[str, int], rows: int) -> None:
    if len(labels) == 1:
        raise Unreadable("one_class", f"Every row of the target {shown(target)} says {listed(labels)}; there is nothing to tell apart.")
    if len(labels) > FEW_CLASSES and len(labels) * 2 > rows:
        raise _not_classes(target, f"has {len(labels)} different labels in {rows} rows, so that most classes have one row")
    if all(is_number(label) for label in labels):
        fractions = sum(Decimal(label) % 1 != 0 for label in labels)
        if fractions and len(labels) > FRACTION_CLASS_LIMIT:
            raise _not_classes(target, f"holds {len(labels)} different numbers with decimals and looks like an amount")
        if len(labels) > WHOLE_NUMBER_CLASS_LIMIT and rows < ROWS_PER_NUMBER_CLASS * len(labels):
            raise _not_classes(target, f"holds {len(labels)} different numbers and looks like an amount")


def _not_classes(target: str, why: str) -> Unreadable:
    return Unreadable(
        "target_not_classes", f"The target {shown(target)} {why}; choose a column of classes, or write classes instead of numbers."
    )
