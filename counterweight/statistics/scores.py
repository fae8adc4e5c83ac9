"""Rows counted by their score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class ScoreCounts:
    """The distinct scores, falling, and how many positive and negative rows have each (G,)."""

    scores: Floats
    positives: Ints
    negatives: Ints

    @property
    def rows(self) -> tuple[int, int]:
        """Return how many rows are positive and how many negative."""
        return int(self.positives.sum()), int(self.negatives.sum())

    def cells_of_steps(self) -> Ints:
        """Return the confusion cells (G + 1, 2, 2) when no row is called positive, the rows of the highest score, of the two highest, …"""
        hit = np.concatenate([[0], np.cumsum(self.positives)])
        false = np.concatenate([[0], np.cumsum(self.negatives)])
        positives, negatives = self.rows
        return np.stack([negatives - false, false, positives - hit, hit], axis=-1).reshape(-1, 2, 2)

    def cells_at(self, threshold: float) -> Ints:
        """Return the confusion cells (2, 2) of "positive if score >= threshold"."""
        called = int(np.searchsorted(-self.scores, -threshold, side="right"))
        return np.asarray(self.cells_of_steps()[called])
