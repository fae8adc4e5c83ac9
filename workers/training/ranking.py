"""Rows in order of their score, and what that order alone is worth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import Metric
from counterweight.statistics.scores import ScoreCounts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking(ScoreCounts):
    """Groups of rows with equal scores, scores falling, and each row's group (N,)."""

    group: Ints


def ranked(scores: Floats, is_positive: Truths) -> Ranking:
    """Sort once; everything else needs no second sort."""
    order = np.argsort(-scores)  # a stable sort takes four times as long, and the order within a group says nothing
    falling = scores[order]
    starts_group = np.ones(len(scores), dtype=bool)
    starts_group[1:] = falling[1:] != falling[:-1]
    group_of_sorted = np.cumsum(starts_group) - 1
    group = np.empty(len(scores), dtype=np.int64)
    group[order] = group_of_sorted
    groups = int(group_of_sorted[-1]) + 1 if len(scores) else 0
    positives = np.bincount(group[is_positive], minlength=groups)
    return Ranking(falling[starts_group], positives, np.bincount(group, minlength=groups) - positives, group)


def average_precision(ranking: Ranking) -> Metric:
    """Return the mean precision over the positives, each counted with all rows that score at least as high (no interpolation)."""
    positives, _ = ranking.rows
    if positives == 0:
        return Metric(value=None, reason="no_positive")
    hits = np.cumsum(ranking.positives)
    precision = hits / (hits + np.cumsum(ranking.negatives))
    return Metric(value=float((ranking.positives * precision).sum() / positives))


def roc_auc(ranking: Ranking) -> Metric:
    """Return the chance that a positive outscores a negative, a tie counting half."""
    positives, negatives = ranking.rows
    if positives == 0 or negatives == 0:
        return Metric(value=None, reason="no_positive" if positives == 0 else "no_negative")
    below = negatives - np.cumsum(ranking.negatives) + ranking.negatives / 2
    return Metric(value=float((ranking.positives * below).sum() / (positives * negatives)))
