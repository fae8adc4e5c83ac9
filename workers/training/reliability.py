"""Whether probabilities come true: bins of rows with like probabilities, and how far the bins are off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.statistics import poisson
from counterweight.statistics.bootstrap import DRAWS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True)
class Bins:
    """Rows of each bin (B,), none empty, and the sums over them of what was predicted and of what came true."""

    rows: Ints
    predicted: Floats
    observed: Floats

    @property
    def error(self) -> float:
        """Return the expected calibration error: the mean distance of predicted and observed, each row counting the same."""
        return float(np.abs(self.observed - self.predicted).sum() / self.rows.sum())


def bins_of(probabilities: Floats, came_true: Truths, bin_of_row: Ints) -> Bins:
    """Gather the rows (N,) by their bin."""
    rows = np.bincount(bin_of_row)
    filled = rows > 0
    predicted, observed = (np.bincount(bin_of_row, weights=each).astype(np.float64) for each in (probabilities, came_true))
    return Bins(rows[filled], predicted[filled], observed[filled])


def error_draws(probabilities: Floats, came_true: Truths, bin_of_row: Ints, source: np.random.Generator) -> Floats:
    """Return draws (DRAWS,) of the expected calibration error, the bins staying as they are.

    The hits of a bin are drawn as one, and so are its misses; normal noise puts back how their probabilities differ among themselves.
    A drawn sample strays from its own rows as these stray from nature, so its error is larger than theirs by chance alone: the draws
    are moved back by their mean excess, and none is under 0.
    """
    bins = bins_of(probabilities, came_true, bin_of_row)
    alike, off = 2 * bin_of_row + came_true, came_true - probabilities
    rows = np.bincount(alike)
    filled = rows > 0
    means = np.bincount(alike, weights=off) / np.maximum(rows, 1)
    dropped = np.sqrt(np.bincount(alike, weights=(off - means[alike]) ** 2))
    weights = poisson.weights(rows[filled], DRAWS, source)
    strays = weights * means[filled, None] + dropped[filled, None] * source.standard_normal(weights.shape)
    starts = np.flatnonzero(np.diff(np.flatnonzero(filled) // 2, prepend=-1))
    distances = np.abs(np.add.reduceat(strays, starts, axis=0)).sum(axis=0)
    total = weights.sum(axis=0)
    draws = np.divide(distances, total, out=np.full(DRAWS, np.nan), where=total > 0)
    return np.asarray(np.maximum(draws - (np.nanmean(draws) - bins.error), 0))
