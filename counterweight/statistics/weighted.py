"""Metrics of one model under many weightings of the rows at once: the draws of a bootstrap, and with every weight 1 the metric itself.

Undefined is NaN. A metric is prepared once, so that its rows are sorted once; it then takes weights (B, N) to values (B,).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.studies import StudyMetric
from counterweight.statistics import decisions
from counterweight.statistics.binning import equal_mass
from counterweight.statistics.outcomes import Floats, Ints, Outcome, Truths, Weights

Measure: TypeAlias = Callable[[Weights], Floats]

_SMALLEST = np.nextafter(0.0, 1.0)
"""The logarithm of a probability that was rounded to 0 is taken of this."""


def measure_of(metric: StudyMetric, outcome: Outcome) -> Measure:
    """Return the metric of this outcome as a function of the rows' weights."""
    positive = outcome.positive
    match metric:
        case "average_precision" | "roc_auc":
            assert positive is not None
            return _ranking(metric, outcome.scores[:, positive], outcome.labels == positive)
        case "macro_average_precision" | "macro_roc_auc_ovr":
            plain = "average_precision" if metric == "macro_average_precision" else "roc_auc"
            return _mean_of([_ranking(plain, outcome.scores[:, each], outcome.labels == each) for each in range(outcome.classes)])
        case "log_loss":
            truth = outcome.probabilities[np.arange(len(outcome.labels)), outcome.labels]
            return _mean(-np.log(np.maximum(truth, _SMALLEST)))
        case "brier":
            return _mean(_squared_errors(outcome))
        case "ece":
            return _calibration_error(*_forecast(outcome))
        case _:
            return _decisions(metric, outcome)


def value_of(measure: Measure, rows: int) -> float | None:
    """Return the metric itself: of every row once; None where it is undefined."""
    value = float(measure(np.ones((1, rows), dtype=np.uint8))[0])
    return None if np.isnan(value) else value


def _ranking(metric: str, scores: Floats, is_hit: Truths) -> Measure:
    order = np.argsort(-scores, kind="stable")
    falling, hit = scores[order], is_hit[order]
    starts_group = np.append(True, falling[1:] != falling[:-1])
    starts = np.flatnonzero(starts_group)
    ends = np.append(starts[1:], len(scores))
    # Only groups that hold a hit are looked at; all rows that score at least as high are counted with them.
    groups, hits_of_group = np.unique((np.cumsum(starts_group) - 1)[hit], return_counts=True)
    hits_so_far = np.cumsum(hits_of_group)

    def measure(weights: Weights) -> Floats:
        if not len(groups):
            return np.full(len(weights), np.nan)
        above, reached = _running(weights, order), _running(weights, order[hit])
        called, found = above.take(ends[groups], axis=1), reached.take(hits_so_far, axis=1)
        hits = np.diff(found, axis=1, prepend=0)
        positives, negatives = found[:, -1], above[:, -1] - found[:, -1]
        if metric == "average_precision":
            # Where nothing is called, nothing is hit.
            return _over((hits * (found / np.maximum(called, 1))).sum(axis=1), positives)
        tied = called - above.take(starts[groups], axis=1) - hits
        below = negatives[:, None] - (called - found) + tied / 2
        return _over((hits * below).sum(axis=1), positives.astype(np.float64) * negatives)

    return measure


def _running(weights: Weights, order: Ints) -> NDArray[np.int32]:
    """Return the sums (B, M + 1) of the first 0 to M weights in this order (M,) of rows."""
    sums = np.zeros((len(weights), len(order) + 1), dtype=np.int32)
    np.cumsum(weights.take(order, axis=1), axis=1, dtype=np.int32, out=sums[:, 1:])
    return sums


def _mean(values: Floats) -> Measure:
    return lambda weights: _over(weights @ values, weights.sum(axis=1, dtype=np.int64))


def _squared_errors(outcome: Outcome) -> Floats:
    if outcome.positive is not None:
        return np.asarray((outcome.probabilities[:, outcome.positive] - (outcome.labels == outcome.positive)) ** 2)
    return np.asarray(((outcome.probabilities - np.eye(outcome.classes)[outcome.labels]) ** 2).sum(axis=1))


def _forecast(outcome: Outcome) -> tuple[Floats, Truths]:
    """Return the probability that calibration is about, and whether it came true: of the positive class, or of the likeliest of several."""
    if outcome.positive is not None:
        return outcome.probabilities[:, outcome.positive], outcome.labels == outcome.positive
    return outcome.probabilities.max(axis=1), outcome.probabilities.argmax(axis=1) == outcome.labels


def _calibration_error(foretold: Floats, came_true: Truths) -> Measure:
    bins = equal_mass(foretold)
    order = np.argsort(bins, kind="stable")
    starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
    off = (came_true - foretold)[order]

    def measure(weights: Weights) -> Floats:
        distances = np.abs(np.add.reduceat(weights.take(order, axis=1) * off, starts, axis=1)).sum(axis=1)
        return _over(distances, weights.sum(axis=1, dtype=np.int64))

    return measure


def _decisions(metric: StudyMetric, outcome: Outcome) -> Measure:
    cells = outcome.labels * outcome.classes + outcome.decisions
    order = np.argsort(cells, kind="stable")
    filled, starts = np.unique(cells[order], return_index=True)

    def measure(weights: Weights) -> Floats:
        counts = np.zeros((len(weights), outcome.classes**2))
        counts[:, filled] = np.add.reduceat(weights.take(order, axis=1), starts, axis=1, dtype=np.int64)
        return _of_cells(metric, counts.reshape(-1, outcome.classes, outcome.classes), outcome.positive)

    return measure


def _of_cells(metric: StudyMetric, cells: Floats, positive: int | None) -> Floats:
    if metric in ("accuracy", "balanced_accuracy", "g_mean", "mcc", "kappa"):
        return decisions.decision_metrics(cells)[metric]
    of_classes = decisions.class_metrics(cells)[metric.removeprefix("macro_")]
    if positive is not None:
        return np.asarray(of_classes[:, positive])
    # One of several classes is not judged by the other classes' rows alone.
    return np.asarray(np.where(cells.sum(axis=-1) > 0, of_classes, np.nan).mean(axis=-1))


def _mean_of(measures: list[Measure]) -> Measure:
    return lambda weights: np.mean([measure(weights) for measure in measures], axis=0)


def _over(above: NDArray[np.floating], below: NDArray[np.integer | np.floating]) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0), dtype=np.float64)
