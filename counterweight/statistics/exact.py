"""Limits that hold where the bootstrap has nothing to draw: a share of 0 or 1, a ranking without a single mistake.

Drawn anew, the rows of a perfect sample are perfect again, and 5 hits of 5 would claim to be as sure as 5,000 of 5,000. Each limit here is
the worst value of nature that would show such a sample with a chance of (1 - confidence) / 2, as Clopper and Pearson (1934) have it.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from counterweight.statistics.beta import beta_cdf

Limits: TypeAlias = tuple[float, float]
Exact: TypeAlias = Callable[[float, float], Limits | None]
"""From a metric's value and the confidence to its limits; None where nothing exact is known."""

Ints = NDArray[np.int64]

_HALVINGS = 60
_SPLITS = 2_000


def of_class(cells: Ints, index: int) -> dict[str, Exact]:
    """Return the exact limits of the metrics of "is it class `index`", for cells (C, C)."""
    hit, true, called, rows = int(cells[index, index]), int(cells[index].sum()), int(cells[:, index].sum()), int(cells.sum())
    return {
        "precision": _of_share(hit, called),
        "recall": _of_share(hit, true),
        "specificity": _of_share(rows - true - called + hit, rows - true),
        "roc_auc": partial(area_under_roc, true, rows - true),
        "average_precision": partial(average_precision, true, rows - true),
    }


def of_all(cells: Ints) -> dict[str, Exact]:
    """Return the exact limits of the metrics of decisions among all classes, for cells (C, C)."""
    return {"accuracy": _of_share(int(np.trace(cells)), int(cells.sum()))}


def _of_share(hits: int, rows: int) -> Exact:
    return lambda _, confidence: clopper_pearson(hits, rows, confidence)


def clopper_pearson(hits: int, rows: int, confidence: float) -> Limits:
    """Return the limits of a chance that came true `hits` times in `rows` independent trials."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _beta_quantile(tail, hits, rows - hits + 1)
    high = 1.0 if hits == rows else _beta_quantile(1 - tail, hits + 1, rows - hits)
    return low, high


def area_under_roc(positives: int, negatives: int, value: float, confidence: float) -> Limits | None:
    """Return the limits of an AUROC of 1 or 0.

    Put each row of the smaller class beside one of the larger: these pairs are independent, each is in order with the chance that
    AUROC is, and all were.
    """
    if value not in (0.0, 1.0):
        return None
    pairs = min(positives, negatives)
    return clopper_pearson(pairs if value == 1 else 0, pairs, confidence)


def average_precision(positives: int, negatives: int, value: float, confidence: float) -> Limits | None:
    """Return the limits of an average precision of 1, at this prevalence.

    Nature is worst, for a given chance of a sample without mistakes, where a share of the negatives lies above all positives and a
    share of the positives below all negatives. All ways to share that chance between the two are tried: with many positives the first
    alone is the worst. With b negatives to a positive above, precision at recall u is u / (u + b).
    """
    if value != 1.0:
        return None
    surprise = -math.log((1 - confidence) / 2)
    spent_on_positives = np.linspace(0, surprise, _SPLITS, endpoint=False)
    above = np.exp(-spent_on_positives / positives)
    rest = negatives / positives
    b = -np.expm1(-(surprise - spent_on_positives) / negatives) * rest
    worst = above - b * np.log((above + b) / b) + (1 - above) - rest * np.log((1 + rest) / (above + rest))
    return float(worst.min()), 1.0


def _beta_quantile(chance: float, a: int, b: int) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < chance else (low, middle)
    return (low + high) / 2
