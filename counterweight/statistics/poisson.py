"""Poisson numbers by the million: how much groups of rows weigh in bootstrap draws."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Counts = NDArray[np.int32]

LARGEST = 64
"""Groups of up to so many rows are looked up; few are larger."""

_LEVELS = 2**16


def weights(sizes: Ints, draws: int, source: np.random.Generator) -> Counts:
    """Return numbers (G, draws), each Poisson with its group's size (G,) as mean.

    A look-up by 16 random bits is ten times as fast as a draw. Of a group of `LARGEST` rows it leaves out what is rarer than one in
    131,072; mean and variance are right to one in ten thousand.
    """
    found = np.zeros((len(sizes), draws), dtype=np.int32)
    small, large = np.flatnonzero((sizes > 0) & (sizes <= LARGEST)), np.flatnonzero(sizes > LARGEST)
    bits = source.integers(0, _LEVELS, size=(len(small), draws), dtype=np.uint16)
    found[small] = _quantiles().take(bits + _LEVELS * sizes[small, None])
    found[large] = source.poisson(sizes[large, None], size=(len(large), draws))
    return found


def of_single_rows(count: int, source: np.random.Generator) -> NDArray[np.uint8]:
    """Return Poisson(1) numbers (count,)."""
    bits = source.integers(0, _LEVELS, size=count, dtype=np.uint16)
    return np.asarray(_quantiles()[_LEVELS : 2 * _LEVELS].take(bits))


@cache
def _quantiles() -> NDArray[np.uint8]:
    """Return, for each mean from 0 to `LARGEST`, the number at each of 65,536 evenly spaced levels, one after the other."""
    numbers = np.arange(2 * LARGEST)
    tables = []
    for mean in range(LARGEST + 1):
        chances = np.exp(-mean) * np.concatenate([[1.0], np.cumprod(mean / numbers[1:])])
        levels_up_to = np.floor(np.cumsum(chances) * _LEVELS + 0.5).astype(np.int64).clip(max=_LEVELS)
        levels_up_to[-1] = _LEVELS
        tables.append(np.repeat(numbers.astype(np.uint8), np.diff(levels_up_to, prepend=0)))
    return np.concatenate(tables)
