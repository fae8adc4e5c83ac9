"""Tests of two models on the same rows, and what testing many pairs asks for. What is undefined is null, with a reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.studies import DeLong, McNemar
from counterweight.statistics.beta import two_sided_p

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

FEWEST_OF_A_CLASS = 2
"""With one row of a class its placements have no variance."""


@dataclass(frozen=True)
class CorrectedT:
    """Student's t of a mean difference, and its degrees of freedom; null with a reason."""

    t: float | None
    freedom: int
    standard_error: float | None
    p_value: float | None
    reason: str | None = None


def placements(scores: Floats, is_positive: Truths) -> Floats:
    """Return for each row (N,) the share of the other class's rows that it is in order with, ties half: its mean over a class is AUROC."""
    found = np.empty(len(scores))
    for of_class, sign in ((is_positive, 1.0), (~is_positive, -1.0)):
        others = np.sort(sign * scores[~of_class])
        mine = sign * scores[of_class]
        below, not_above = np.searchsorted(others, mine, side="left"), np.searchsorted(others, mine, side="right")
        found[of_class] = (below + not_above) / (2 * max(1, len(others)))
    return found


def delong(first: Floats, second: Floats, is_positive: Truths) -> DeLong:
    """Compare two areas under the ROC curve by the rows' placements (N,) (DeLong, DeLong and Clarke-Pearson, 1988).

    Placements averaged over several runs of a model give the test of the mean area, the runs taken as they are.
    """
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if min(positives, negatives) < FEWEST_OF_A_CLASS:
        return DeLong(z=None, p_value=None, reason="too_few")
    apart = first - second
    squared = float(np.var(apart[is_positive], ddof=1)) / positives + float(np.var(apart[~is_positive], ddof=1)) / negatives
    if squared <= 0:
        return DeLong(z=None, p_value=None, reason="zero_variance")
    z = float(apart[is_positive].mean()) / math.sqrt(squared)
    return DeLong(z=z, p_value=math.erfc(abs(z) / math.sqrt(2)))


def mcnemar(only_a: int, only_b: int) -> McNemar:
    """Compare how often one was right and the other wrong, by the exact binomial test (McNemar, 1947)."""
    count, smaller = only_a + only_b, min(only_a, only_b)
    if count == 0:
        return McNemar(only_a=0, only_b=0, p_value=None, reason="no_discordant_rows")
    logs = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) - count * math.log(2) for k in range(smaller + 1)]
    return McNemar(only_a=only_a, only_b=only_b, p_value=min(1.0, 2 * math.fsum(map(math.exp, logs))))


def nadeau_bengio(differences: Sequence[float], test_over_train: float) -> CorrectedT:
    """Compare by runs whose training rows overlap: the variance of their mean is larger than s²/J by s² times this ratio of rows.

    Nadeau and Bengio, 2003, Machine Learning 52:239; Bouckaert and Frank, 2004, for folds: 1 / (folds - 1).
    """
    runs = len(differences)
    if runs < 2:
        return CorrectedT(None, 0, None, None, "too_few_runs")
    squared = (1 / runs + test_over_train) * variance(differences)
    if squared <= 0:
        return CorrectedT(None, runs - 1, None, None, "zero_variance")
    error = math.sqrt(squared)
    t = fmean(differences) / error
    return CorrectedT(t, runs - 1, error, two_sided_p(t, runs - 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for their number (Holm, 1979): the chance of any false rejection among those under 0.05 is at most 0.05."""
    order = sorted((value, index) for index, value in enumerate(p_values) if value is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (value, index) in enumerate(order):
        largest = max(largest, min(1.0, value * (len(order) - rank)))
        adjusted[index] = largest
    return adjusted
