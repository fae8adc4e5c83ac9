"""How a model does on rows with one value of a column: the main metrics of each subgroup, by the decisions that all rows get."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from counterweight.contracts.datasets import Column
from counterweight.contracts.evaluation import ClassRows, Confusion, Subgroup, SubgroupRows, SubgroupTable
from counterweight.statistics.operating import PARTS, JudgedPart
from workers.training import metrics
from workers.training.measures import measure
from workers.training.subject import Ints, Judged, Scored, Subject
from workers.training.table import column_codes, column_numbers

MOST_VALUES = 20
QUARTERS = (0.25, 0.5, 0.75)
MAIN = {
    *("average_precision", "roc_auc", "log_loss", "ece", "precision", "recall", "specificity", "f1", "mcc"),
    *("macro_average_precision", "macro_f1", "macro_recall", "accuracy", "balanced_accuracy"),
}
"""The metrics that are told of subgroups, of two classes and of several."""

Kind = Literal["value", "range", "missing", "rest"]


@dataclass(frozen=True)
class _Grouping:
    """Each row's group (N,), and what the groups are, in the order to tell them."""

    of_row: Ints
    groups: list[tuple[Kind, str]]


def subgroup_table(
    subject: Subject,
    judged: Mapping[JudgedPart, Judged],
    column: Column,
    cells: Mapping[JudgedPart, pa.Table],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> SubgroupTable:
    """Return the subgroups of a column, whose cells for the rows of each part, in the same order, are in a table of that column.

    Groups whose turn comes after it is cancelled are left out.
    """
    grouping = _grouping(column, pa.concat_tables([cells[part] for part in PARTS], promote_options="permissive"))
    rows = len(judged["validation"].labels)
    of_part: dict[JudgedPart, Ints] = {"validation": grouping.of_row[:rows], "test": grouping.of_row[rows:]}
    return SubgroupTable(
        column=column.name,
        groups=[
            Subgroup(
                kind=kind,
                label=label,
                splits={
                    part: _measured(subject, judged[part], np.flatnonzero(of_part[part] == index))
                    for part in PARTS
                    if (of_part[part] == index).any()
                },
            )
            for index, (kind, label) in enumerate(grouping.groups)
            if not is_cancelled()
        ],
    )


def _measured(subject: Subject, judged: Judged, rows: Ints) -> SubgroupRows:
    own = Judged(
        Scored(judged.scored.logits[rows], judged.labels[rows], judged.scored.rows[rows]), judged.log_p[rows], judged.decisions[rows]
    )
    counts = np.bincount(own.labels, minlength=len(subject.classes))
    return SubgroupRows(
        rows=len(rows),
        classes=[
            ClassRows(label=label, count=int(count), fraction=float(count / len(rows)))
            for label, count in zip(subject.classes, counts, strict=True)
        ],
        confusion=Confusion(
            labels=list(subject.classes), counts=metrics.confusion(own.labels, own.decisions, len(subject.classes)).tolist()
        ),
        metrics={name: metric for name, metric in measure(subject, own).whole.items() if name in MAIN},
    )


def _grouping(column: Column, table: pa.Table) -> _Grouping:
    if column.type in ("numeric", "datetime"):
        numbers = column_numbers(table, column.name)
        write = _moment if column.type == "datetime" else _number
        if len(np.unique(numbers[~np.isnan(numbers)])) > MOST_VALUES:
            return _by_range(numbers, write)
        texts, codes = np.unique(numbers, return_inverse=True)
        return _by_value(np.where(np.isnan(numbers), -1, codes), [write(value) for value in texts], in_order=True)
    cells = column_codes(table, column.name)
    return _by_value(cells.codes, cells.texts, in_order=False)


def _by_range(numbers: NDArray[np.float64], write: Callable[[float], str]) -> _Grouping:
    """Group numbers by quarters, told by the least and the greatest number in each; fewer where many are equal."""
    is_known = ~np.isnan(numbers)
    of_row = np.searchsorted(np.unique(np.quantile(numbers[is_known], QUARTERS)), numbers, side="left")
    groups: list[tuple[Kind, str]] = []
    found = np.full(len(numbers), -1)
    for quarter in np.unique(of_row[is_known]):
        own = is_known & (of_row == quarter)
        found[own] = len(groups)
        groups.append(("range", f"{write(numbers[own].min())} to {write(numbers[own].max())}"))
    return _with_missing(found, groups)


def _by_value(codes: Ints, texts: list[str], in_order: bool) -> _Grouping:
    """Group by the most frequent values, the most frequent first or in their own order, and the rest together."""
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    by_count = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-counts[code], texts[code]))
    kept, rest = by_count[:MOST_VALUES], by_count[MOST_VALUES:]
    place = np.full(len(texts) + 1, -1)  # the last is for code -1, a missing cell
    for index, code in enumerate(sorted(kept) if in_order else kept):
        place[code] = index
    groups: list[tuple[Kind, str]] = [("value", texts[code]) for code in (sorted(kept) if in_order else kept)]
    if rest:
        place[rest] = len(groups)
        groups.append(("rest", f"{len(rest)} more values"))
    return _with_missing(place[codes], groups)


def _with_missing(of_row: Ints, groups: list[tuple[Kind, str]]) -> _Grouping:
    if not (of_row < 0).any():
        return _Grouping(of_row, groups)
    return _Grouping(np.where(of_row < 0, len(groups), of_row), [*groups, ("missing", "missing")])


def _number(value: float) -> str:
    return f"{value:.6g}"


def _moment(seconds: float) -> str:
    return "" if np.isnan(seconds) else str(np.datetime64(int(seconds), "s")).removesuffix("T00:00:00")
