"""Bins of rows with like probabilities."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_BINS = 15
FEWEST_ROWS_OF_A_BIN = 20
"""Fewer rows in each of 15 bins, and there are fewer bins: with little in a bin, chance alone looks like miscalibration."""


def equal_mass(probabilities: Floats) -> Ints:
    """Return the bin of each row: up to 15 bins of as equal mass as ties allow, for rows of equal probability share a bin."""
    bins = max(1, min(MOST_BINS, len(probabilities) // FEWEST_ROWS_OF_A_BIN))
    order = np.argsort(probabilities)
    rising = probabilities[order]
    # Where each run of equal probabilities begins, which all of the run take.
    starts = np.arange(len(order))
    starts[1:][rising[1:] == rising[:-1]] = 0
    first = np.empty(len(order), dtype=np.int64)
    first[order] = np.maximum.accumulate(starts)
    return np.asarray(first * bins // max(1, len(probabilities)))
