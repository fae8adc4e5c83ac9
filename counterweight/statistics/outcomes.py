"""What one model says of a set of rows, and many weightings of these rows: the same for every model that is compared."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.statistics import poisson
from counterweight.statistics.bootstrap import SEED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Truths = NDArray[np.bool_]
Weights = NDArray[np.uint8]
"""How much in each draw (first index) each row weighs (second index): sums over rows are sums of what lies side by side."""

_AT_ONCE = 4_000_000
_MOST_KEPT = 256_000_000
_WALKED = 500_000
"""So many weights are handed out at once: what is made of more falls out of a processor's cache."""


@dataclass(frozen=True)
class Outcome:
    """Of each row: its number, its class and the class it is called (N,), calibrated probabilities and ranking scores (N, C).

    `positive` is the positive class of two; None with several.
    """

    rows: Ints
    labels: Ints
    decisions: Ints
    probabilities: Floats
    scores: Floats
    positive: int | None

    @property
    def classes(self) -> int:
        return int(self.probabilities.shape[1])

    @property
    def is_right(self) -> Truths:
        return np.asarray(self.labels == self.decisions)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.probabilities).all() and np.isfinite(self.scores).all()):
            raise ValueError("a probability or a score is not a finite number")


class PoissonWeights:
    """`draws` weightings of `rows` rows, each weight its own Poisson(1) number: the bootstrap, but for its number of rows.

    The same every time they are walked through, however they are cut into chunks: that models see the same draws makes their
    comparison paired.
    """

    def __init__(self, rows: int, draws: int) -> None:
        self._rows, self._draws = rows, draws
        self._width = max(1, min(draws, _AT_ONCE // max(1, rows)))
        self._kept: list[Weights] | None = [*self._made()] if rows * draws <= _MOST_KEPT else None

    def __iter__(self) -> Iterator[Weights]:
        return self._made() if self._kept is None else iter(self._kept)

    def _made(self) -> Iterator[Weights]:
        for drawn in self._drawn():  # rows first
            for piece in np.array_split(drawn, min(drawn.shape[1], -(-drawn.size // _WALKED)), axis=1):
                yield np.ascontiguousarray(piece.T)

    def _drawn(self) -> Iterator[Weights]:
        for number, start in enumerate(range(0, self._draws, self._width)):
            source = np.random.Generator(np.random.PCG64([SEED, number]))
            width = min(self._width, self._draws - start)
            yield poisson.of_single_rows(self._rows * width, source).astype(np.uint8).reshape(self._rows, width)
