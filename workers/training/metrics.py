"""What decisions and probabilities are worth, for one confusion matrix or for thousands of bootstrap draws of it.

Inside, an undefined value is NaN, so that one formula serves both; `point` turns it into a null with its reason.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import Metric

Floats = NDArray[np.float64]
Cells = NDArray[np.int64 | np.float64]
"""Rows by true (second last axis) and predicted class (last axis)."""


def confusion(labels: NDArray[np.int64], decisions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return how many rows of each class (first index) were called each class (second index)."""
    return np.bincount(labels * classes + decisions, minlength=classes * classes).reshape(classes, classes)


def one_against_rest(cells: Cells, index: int) -> Floats:
    """Return the cells (..., 2, 2) of "is it class `index`": no first, yes second."""
    cells = np.asarray(cells, dtype=np.float64)
    hit = cells[..., index, index]
    missed = cells[..., index, :].sum(-1) - hit
    false = cells[..., :, index].sum(-1) - hit
    rest = cells.sum((-2, -1)) - hit - missed - false
    return np.stack([np.stack([rest, false], -1), np.stack([missed, hit], -1)], -2)


def binary_metrics(cells: Floats) -> dict[str, Floats]:
    """Return the metrics of decisions between no (index 0) and yes (index 1), for cells (..., 2, 2)."""
    return yes_metrics(cells) | decision_metrics(cells)


def yes_metrics(cells: Floats) -> dict[str, Floats]:
    """Return the metrics of one class against the rest."""
    rest, false, missed, hit = cells[..., 0, 0], cells[..., 0, 1], cells[..., 1, 0], cells[..., 1, 1]
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
        "mcc": _ratio(correct * total - by_chance, spread),
        # Agreement beyond chance is about telling classes apart: with one absent there is nothing to tell.
        "kappa": np.where((true == 0).any(-1), np.nan, _ratio(correct * total - by_chance, total**2 - by_chance)),
    }


def macro_metrics(cells: Cells) -> dict[str, Floats]:
    """Return the plain means over the classes, for cells (..., C, C); undefined where it is undefined for a class."""
    per_class = [yes_metrics(one_against_rest(cells, index)) for index in range(cells.shape[-1])]
    means = {f"macro_{name}": np.mean([each[name] for each in per_class], axis=0) for name in ("f1", "precision", "recall")}
    # A class that is absent here has no F1, even if some row was called it.
    absent = (np.asarray(cells).sum(-1) == 0).any(-1)
    return means | {"macro_f1": np.where(absent, np.nan, means["macro_f1"])}


def log_losses(log_probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return each row's -ln p of its true class, from log-probabilities: never clipped."""
    return -log_probabilities[np.arange(len(labels)), labels]


def brier_scores(log_probabilities: Floats, labels: NDArray[np.int64], positive: int | None) -> Floats:
    """Return each row's squared error: of the positive class with two classes, summed over all classes with several."""
    probabilities = np.exp(log_probabilities)
    if positive is not None:
        return np.asarray((probabilities[:, positive] - (labels == positive)) ** 2)
    return np.asarray(((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1))


def points(values: dict[str, Floats], cells: Cells, labels: Sequence[str]) -> dict[str, Metric]:
    """Return the metrics of one confusion matrix; those undefined are null, with the reason."""
    return {name: point(name, float(value), cells, labels) for name, value in values.items()}


def point(name: str, value: float, cells: Cells, labels: Sequence[str]) -> Metric:
    if not np.isnan(value):
        return Metric(value=value)
    return Metric(value=None, reason=_reason(name, np.asarray(cells), labels))


def _reason(name: str, cells: Cells, labels: Sequence[str]) -> str:
    true, called = cells.sum(-1), cells.sum(-2)
    if len(true) > 2:
        absent = [label for label, count in zip(labels, true, strict=True) if count == 0]
        if absent:
            return f"class_absent:{absent[0]}"
        return "no_predicted_positive" if name == "macro_precision" else "zero_denominator"
    if name == "precision":
        return "no_predicted_positive"
    if name == "f1":
        return "zero_denominator"
    if true[1] == 0 and name != "specificity":
        return "no_positive"
    if true[0] == 0 and name != "recall":
        return "no_negative"
    return "no_predicted_positive" if called[1] == 0 else "zero_denominator"


def _ratio(above: Floats, below: Floats) -> Floats:
    """Return above / below, NaN where below is 0."""
    below = np.asarray(below, dtype=np.float64)
    return np.asarray(np.divide(above, below, out=np.full(np.broadcast(above, below).shape, np.nan), where=below > 0))
