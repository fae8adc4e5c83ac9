"""How far a mean over runs, or the difference of two, would move with other seeds and other test rows.

A run's metric is (what all runs have in common on these test rows) + (what its seed brings on any rows) + (what its seed brings on these
rows). With S runs on the same N rows the variance of their mean is A + (B + G) / S, where A and G shrink with N and B does not.
The bootstrap of the mean, every run with the same weights, estimates A + G / S; the bootstrap of each run alone A + G; the spread of the
runs B + G. Rows alone would forget B, seeds alone A, and their plain sum would count G twice.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from counterweight.statistics.beta import critical_t, two_sided_p
from counterweight.statistics.bootstrap import ALIKE, MOST_UNDEFINED
from counterweight.statistics.paired_tests import nadeau_bengio

Floats = NDArray[np.float64]

FEWEST_RUNS = 2


@dataclass(frozen=True)
class Parts:
    """Variances: of all runs together on other rows (A), of one run on other rows besides (G), and of one run with other seeds (B)."""

    common: float
    own: float
    seed: float


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and degrees of freedom; without these, the `reason` why."""

    value: float | None
    error: float | None = None
    freedom: float = 0.0
    reason: str | None = None
    parts: Parts | None = None

    def limits(self, confidence: float) -> tuple[float, float] | None:
        if self.value is None or self.error is None:
            return None
        reach = critical_t(1 - confidence, self.freedom) * self.error
        return self.value - reach, self.value + reach

    @property
    def p_value(self) -> float | None:
        return None if self.value is None or self.error is None else two_sided_p(self.value / self.error, self.freedom)

    def without(self, reason: str) -> Self:
        """Return the mean alone."""
        return type(self)(self.value, reason=reason)


@dataclass(frozen=True)
class Spread:
    """The variance between runs, and from how many independent numbers that is known."""

    variance: float
    freedom: float


def spread(values: Floats) -> Spread:
    return Spread(float(np.var(values, ddof=1)), len(values) - 1)


def of_runs(values: Floats, draws: Floats, smallest_class: int, typical: Spread | None = None) -> Estimate:
    """Estimate from runs' values (S,) and bootstrap draws (S, B) on rows of which the rarest class has so many.

    The degrees of freedom are Satterthwaite's. Of few runs the spread is at times tiny by chance, and a test would then take noise for
    a finding: a spread under the `typical` one of the study is taken for that. Two runs alone are judged by their one degree of freedom.
    """
    count = len(values)
    if count < FEWEST_RUNS:
        return Estimate(float(values.mean()) if count else None, reason="too_few_runs")
    value = float(values.mean())
    kept = draws[:, ~np.isnan(draws).any(axis=0)]
    if kept.shape[1] < (1 - MOST_UNDEFINED) * draws.shape[1]:
        return Estimate(value, reason="unstable")
    together, alone = float(kept.mean(axis=0).var(ddof=1)), float(kept.var(axis=1, ddof=1).mean())
    own = max(0.0, (alone - together) * count / (count - 1))
    seen = spread(values)
    if typical is not None and seen.variance < typical.variance:
        seen = typical
    seed = max(0.0, seen.variance - own)
    squared = together + seed / count
    if squared <= ALIKE**2:
        return Estimate(value, reason="zero_variance")
    doubt = (seen.variance / count) ** 2 / seen.freedom + together**2 / max(1, smallest_class - 1)
    freedom = squared**2 / doubt if seen.freedom > 1 else 1.0
    return Estimate(value, math.sqrt(squared), freedom, parts=Parts(max(0.0, together - own / count), own, seed))


def of_folds(values: Floats, folds: int) -> Estimate:
    """Estimate from one value for each fold (F,): their training rows overlap, so their variance is corrected (Nadeau and Bengio)."""
    found = nadeau_bengio(values.tolist(), 1 / (folds - 1))
    value = float(values.mean()) if len(values) else None
    return Estimate(value, found.standard_error, found.freedom, found.reason)


def typical_spread(spreads: list[Spread], arms: int) -> Spread | None:
    """Return the median spread of a study's pairs of arms, known from about half of what independent arms would tell; None for one pair."""
    if len(spreads) < 2:
        return None
    runs = float(np.median([one.freedom for one in spreads]))
    return Spread(float(np.median([one.variance for one in spreads])), runs * max(1.0, (arms - 1) / 2))
