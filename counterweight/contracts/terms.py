"""The terms that every loss comes to, and the one formula they stand in, as plain numbers: the service needs no torch for them.

For logits z, true class t, weight w, shift b, margin m, scale s, focusing gamma and poly epsilon:

    u = s * (z + b - m_t * onehot(t));   d = u_t - logsumexp(u without t)
    L = softplus(-d);   ln q = -softplus(d)
    loss = w_t * exp(gamma * ln q) * (L + epsilon * exp(ln q))

p_t = exp(-L) is the probability of the true class, and q = 1 - p_t.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self, TypeVar

Number = TypeVar("Number", int, float)


class LossMismatch(ValueError):
    """A loss does not fit the classes it is to be used on; `pointer` names the field."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


@dataclass(frozen=True)
class ClassCounts:
    """Training rows of each class, in class order; `positive` is the index of the rare or event class (binary only).

    Where rows have weights, a class counts for the sum of its rows', at mean weight 1.
    """

    labels: tuple[str, ...]
    counts: tuple[float, ...]
    positive: int | None = None

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.counts) or len(self.labels) < 2:
            raise ValueError(f"need at least two classes with one count each, got {self.labels} and {self.counts}")
        for label, count in zip(self.labels, self.counts, strict=True):
            if not count > 0:
                raise LossMismatch("/dataset_id", f"class {label!r} has no training rows; every loss needs at least one")

    @cached_property
    def total(self) -> float:
        return sum(self.counts)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        return tuple(count / self.total for count in self.counts)

    @cached_property
    def log_shares(self) -> tuple[float, ...]:
        return tuple(math.log(share) for share in self.shares)

    @property
    def rarest(self) -> int:
        """Return the index of the class with the fewest rows, the first of several."""
        return self.counts.index(min(self.counts))

    def by_label(self, values: Sequence[Number]) -> dict[str, Number]:
        return dict(zip(self.labels, values, strict=True))


@dataclass(frozen=True)
class LossTerms:
    """The terms of the formula at the head of this file: one number per class, or one for all."""

    weights: tuple[float, ...]
    shift: tuple[float, ...]
    margin: tuple[float, ...]
    scale: float = 1.0
    gamma: float = 0.0
    epsilon: float = 0.0
    smoothing: float = 0.0

    @classmethod
    def neutral(cls, classes: int) -> Self:
        """Terms under which the formula is plain cross-entropy."""
        return cls(weights=(1.0,) * classes, shift=(0.0,) * classes, margin=(0.0,) * classes)

    def with_weights(self, weights: Sequence[float]) -> "LossTerms":
        return replace(self, weights=tuple(weights))

    def with_shift(self, shift: Sequence[float]) -> "LossTerms":
        return replace(self, shift=tuple(shift))


def loss_and_slope(lead: float, weight: float, terms: LossTerms) -> tuple[float, float]:
    """Return the loss of a hard label and its slope in `lead`, the d of the formula: how far the true class leads all others."""
    surprise, log_miss = _softplus(-lead), -_softplus(lead)
    p, miss, focus = math.exp(-surprise), math.exp(log_miss), math.exp(terms.gamma * log_miss)
    core = surprise + terms.epsilon * miss
    # Each part falls with the lead: the focus by gamma * p of itself, the surprise by the miss, the miss by p * miss.
    return weight * focus * core, -weight * focus * (terms.gamma * p * core + miss + terms.epsilon * p * miss)


def losses_by_class(logits: Sequence[float], terms: LossTerms) -> list[float]:
    """Return what an example with these logits costs if it is of the first class, of the second, and so on; smoothing included."""
    scores = [terms.scale * (logit + shift) for logit, shift in zip(logits, terms.shift, strict=True)]
    hard = [
        loss_and_slope(score - _log_sum(scores[:index] + scores[index + 1 :]) - terms.scale * terms.margin[index], weight, terms)[0]
        for index, (score, weight) in enumerate(zip(scores, terms.weights, strict=True))
    ]
    spread = sum(hard) / len(hard)
    return [(1 - terms.smoothing) * value + terms.smoothing * spread for value in hard]


def prior_bias(terms: LossTerms, shares: Sequence[float]) -> list[float]:
    """Return the logits under which the loss sees the classes at their shares pi: ln(w ((1 - e) pi + e / K)) / s - b, around 0.

    Without focusing and margins this is the constant prediction that costs least; a focusing loss prefers one nearer to even.
    """
    spread = terms.smoothing / len(shares)
    seen = [math.log(weight * ((1 - terms.smoothing) * share + spread)) for weight, share in zip(terms.weights, shares, strict=True)]
    bias = [value / terms.scale - shift for value, shift in zip(seen, terms.shift, strict=True)]
    middle = sum(bias) / len(bias)
    return [value - middle for value in bias]


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _log_sum(scores: Sequence[float]) -> float:
    top = max(scores)
    return top + math.log(sum(math.exp(score - top) for score in scores))
