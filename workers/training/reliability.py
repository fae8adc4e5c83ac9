"""Whether probabilities come true: bins of rows with like probabilities, and how far the bins are off."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.statistics.bootstrap import DRAWS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Truths = NDArray[np.bool_]

MOST_BINS = 15
FEWEST_ROWS_OF_A_BIN = 20
"""Fewer rows in each of 15 bins, and there are fewer bins: with little in a bin, chance alone looks like miscalibration."""

_SLICES = 64
"""Into so many slices of equal mass the hits and the misses of a bin are cut before they are drawn anew."""


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


def equal_mass(probabilities: Floats) -> Ints:
    """Return the bin of each row: up to 15 bins of as equal mass as ties allow, for rows of equal probability share a bin."""
    bins = max(1, min(MOST_BINS, len(probabilities) // FEWEST_ROWS_OF_A_BIN))
    rising = np.sort(probabilities)
    first = np.searchsorted(rising, probabilities, side="left")
    return np.asarray(first * bins // max(1, len(probabilities)), dtype=np.int64)


def error_draws(probabilities: Floats, came_true: Truths, bin_of_row: Ints, source: np.random.Generator) -> Floats:
    """Return draws (DRAWS,) of the expected calibration error, the bins staying as they are.

    A drawn sample strays from its own rows as these stray from nature, so its error is larger than theirs by chance alone: the draws
    are moved back by their mean excess, and none is under 0.
    """
    bins = bins_of(probabilities, came_true, bin_of_row)
    slices = _slices(probabilities, came_true, bin_of_row)
    rows = np.bincount(slices)
    filled = rows > 0
    off = np.bincount(slices, weights=came_true - probabilities)[filled] / rows[filled]
    bin_of_slice = np.flatnonzero(filled) // (2 * _SLICES)
    starts = np.flatnonzero(np.diff(bin_of_slice, prepend=-1))
    weights = source.poisson(rows[filled], size=(DRAWS, int(filled.sum())))
    distances = np.abs(np.add.reduceat(weights * off, starts, axis=1)).sum(axis=1)
    total = weights.sum(axis=1)
    draws = np.divide(distances, total, out=np.full(DRAWS, np.nan), where=total > 0)
    return np.asarray(np.maximum(draws - (np.nanmean(draws) - bins.error), 0))


def _slices(probabilities: Floats, came_true: Truths, bin_of_row: Ints) -> Ints:
    """Return a number for each row, by its bin, whether it came true, and its place among those alike."""
    alike = 2 * bin_of_row + came_true
    order = np.lexsort((probabilities, alike))
    sizes = np.bincount(alike)
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(alike), dtype=np.int64)
    place[order] = np.arange(len(alike)) - starts[alike[order]]
    return np.asarray(alike * _SLICES + place * _SLICES // sizes[alike], dtype=np.int64)
