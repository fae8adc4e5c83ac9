"""What decisions are worth, for one confusion matrix or for thousands of bootstrap draws of it.

Inside, an undefined value is NaN, so that one formula serves both; `Metric` has a null with its reason instead.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import Metric
from counterweight.statistics import bootstrap, exact

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Cells = NDArray[np.int64 | np.float64]
"""Rows by true (second last axis) and predicted class (last axis)."""


OF_ONE_CLASS = ("f1", "precision", "recall", "specificity")
"""What `class_metrics` tells."""


def measured(cells: Ints, positive: int, confidence: float) -> dict[str, Metric]:
    """Return the metrics of decisions between two classes, with their intervals, for cells (2, 2) in class order."""
    found = points(
        {name: value[positive] for name, value in class_metrics(cells).items()} | decision_metrics(cells),
        one_against_rest(cells, positive),
    )
    draws = bootstrap.of_cells(cells, lambda many: {name: value[:, positive] for name, value in class_metrics(many).items()})
    draws |= bootstrap.of_cells(cells, decision_metrics)
    limits, smallest = exact.of_class(cells, positive) | exact.of_all(cells), int(cells.sum(-1).min())
    return {name: bootstrap.with_interval(metric, draws[name], confidence, smallest, limits.get(name)) for name, metric in found.items()}


def binary_metrics(cells: Cells) -> dict[str, Floats]:
    """Return the metrics of decisions between no (index 0) and yes (index 1), for cells (..., 2, 2)."""
    return {name: value[..., 1] for name, value in class_metrics(cells).items()} | decision_metrics(cells)


def binary_metric(cells: Cells, name: str) -> Floats:
    """Return one of `binary_metrics`, for no more than it costs."""
    return class_metrics(cells)[name][..., 1] if name in OF_ONE_CLASS else decision_metrics(cells)[name]


def one_against_rest(cells: Ints, index: int) -> Ints:
    """Return the cells (2, 2) of "is it class `index`": no first, yes second."""
    hit = cells[index, index]
    missed, false = cells[index].sum() - hit, cells[:, index].sum() - hit
    return np.array([[cells.sum() - hit - missed - false, false], [missed, hit]])


def class_metrics(cells: Cells) -> dict[str, Floats]:
    """Return the metrics (..., C) of each class against the rest, for cells (..., C, C)."""
    cells = np.asarray(cells, dtype=np.float64)
    hit = np.diagonal(cells, axis1=-2, axis2=-1)
    missed, false = cells.sum(-1) - hit, cells.sum(-2) - hit
    rest = cells.sum((-2, -1))[..., None] - hit - missed - false
    return {
        "f1": _ratio(2 * hit, 2 * hit + false + missed),
        "precision": _ratio(hit, hit + false),
        "recall": _ratio(hit, hit + missed),
        "specificity": _ratio(rest, rest + false),
    }


def decision_metrics(cells: Cells) -> dict[str, Floats]:
    """Return the metrics of decisions among any number of classes, for cells (..., C, C)."""
    cells = np.asarray(cells, dtype=np.float64)
    true, called, total = cells.sum(-1), cells.sum(-2), cells.sum((-2, -1))
    correct = np.trace(cells, axis1=-2, axis2=-1)
    recalls = _ratio(np.diagonal(cells, axis1=-2, axis2=-1), true)
    by_chance = (called * true).sum(-1)
    spread = np.sqrt(total**2 - (called**2).sum(-1)) * np.sqrt(total**2 - (true**2).sum(-1))
    return {
        "accuracy": _ratio(correct, total),
        "balanced_accuracy": recalls.mean(-1),
        "g_mean": recalls.prod(-1) ** (1 / cells.shape[-1]),
        # Of two roots, the quotient can be rounded to more than 1.
        "mcc": np.clip(_ratio(correct * total - by_chance, spread), -1.0, 1.0),
        # Agreement beyond chance is about telling classes apart: with one absent there is nothing to tell.
        "kappa": np.where((true == 0).any(-1), np.nan, _ratio(correct * total - by_chance, total**2 - by_chance)),
    }


def points(values: Mapping[str, Floats], cells: Ints) -> dict[str, Metric]:
    """Return metrics of decisions between no (index 0) and yes (index 1), of cells (2, 2)."""
    return {name: point(value, _binary_reason(name, cells)) for name, value in values.items()}


def point(value: Floats | float, reason: str) -> Metric:
    """Return the metric of one confusion matrix: a null with the reason where it is undefined."""
    return Metric(value=None, reason=reason) if np.isnan(value) else Metric(value=float(value))


def _binary_reason(name: str, cells: Ints) -> str:
    """Say why a metric of two classes is undefined."""
    (no, yes), called = cells.sum(-1), cells.sum(-2)
    if name == "precision":
        return "no_predicted_positive"
    if name == "f1":
        return "zero_denominator"
    if yes == 0 and name != "specificity":
        return "no_positive"
    if no == 0 and name != "recall":
        return "no_negative"
    return "no_predicted_positive" if called[1] == 0 else "zero_denominator"


def absent_reason(cells: Ints, labels: Sequence[str]) -> str:
    """Say why a metric of several classes is undefined: a class is absent, or all rows were called one class."""
    absent = [label for label, count in zip(labels, cells.sum(-1), strict=True) if count == 0]
    return f"class_absent:{absent[0]}" if absent else "zero_denominator"


def _ratio(above: Cells, below: Cells) -> Floats:
    """Return above / below, NaN where below is 0."""
    below = np.asarray(below, dtype=np.float64)
    return np.asarray(np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0))
