"""What is evaluated: a model's outputs on rows whose classes are known."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.terms import LossTerms
from workers.training.errors import Diverged

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_OFF_ONE = 1e-6
"""How far the probabilities of a row may sum up from 1."""


@dataclass(frozen=True)
class Subject:
    """The classes, the positive one (two classes only), the loss's terms, the training shares, the wishes.

    `refitted_terms` are those of the network that is tested, where that is another: one refitted on training and validation rows.
    """

    classes: tuple[str, ...]
    positive: int | None
    terms: LossTerms
    shares: tuple[float, ...]
    options: EvaluationOptions
    refitted_terms: LossTerms | None = None

    @property
    def test_terms(self) -> LossTerms:
        """Return the terms of the network that is tested and kept."""
        return self.terms if self.refitted_terms is None else self.refitted_terms


@dataclass(frozen=True)
class Scored:
    """The rows of a part: logits (N, C), true classes (N,), and row numbers in the dataset (N,)."""

    logits: Floats
    labels: Ints
    rows: Ints

    @classmethod
    def of(cls, logits: NDArray[np.floating], labels: Ints, rows: Ints | None = None) -> Self:
        """Take the outputs of a network. Diverged when one is not finite; ValueError for a label that is no class."""
        if not np.isfinite(logits).all():
            row = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
            raise Diverged(f"the network's output for row {row} is not finite", "a smaller learning_rate")
        if len(labels) and not (labels.min() >= 0 and labels.max() < logits.shape[1]):
            raise ValueError(f"labels run from {labels.min()} to {labels.max()}, and there are {logits.shape[1]} classes")
        return cls(logits.astype(np.float64), labels, np.arange(len(labels)) if rows is None else rows)


@dataclass(frozen=True)
class Judged:
    """The rows of a part with their calibrated log-probabilities (N, C) and the class each is called (N,)."""

    scored: Scored
    log_p: Floats
    decisions: Ints

    def __post_init__(self) -> None:
        check_probabilities(np.exp(self.log_p))

    @property
    def labels(self) -> Ints:
        return self.scored.labels


def check_probabilities(probabilities: Floats) -> None:
    """Raise ValueError unless the rows (N, C) are probabilities: nothing is clipped or scaled in silence."""
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability lies outside 0 to 1 or is not a number")
    if (np.abs(probabilities.sum(axis=1) - 1) > MOST_OFF_ONE).any():
        raise ValueError("the probabilities of a row do not sum up to 1")
