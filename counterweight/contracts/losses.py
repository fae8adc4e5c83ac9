"""The losses a user can choose, and the terms each gives to the one formula all of them share.

For logits z, true class t, weight w, shift b, margin m, scale s, focusing gamma and poly epsilon:

    u = s * (z + b - m_t * onehot(t));   d = u_t - logsumexp(u without t)
    L = softplus(-d);   ln q = -softplus(d)
    loss = w_t * exp(gamma * ln q) * (L + epsilon * exp(ln q))

`LossTerms` holds these terms as plain numbers, so that the service resolves them without torch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from counterweight.contracts.base import Request, View

HEAVY_WEIGHT = 50.0
"""A class weight above this is noted: single rows then move the network by themselves."""


class LossMismatch(ValueError):
    """A loss does not fit the classes it is to be used on; `pointer` names the field."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message)
        self.pointer = pointer


@dataclass(frozen=True)
class ClassCounts:
    """Training rows of each class, in class order; `positive` is the index of the rare or event class (binary only)."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    positive: int | None = None

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.counts) or len(self.labels) < 2:
            raise ValueError(f"need at least two classes with one count each, got {self.labels} and {self.counts}")
        for label, count in zip(self.labels, self.counts, strict=True):
            if count < 1:
                raise LossMismatch("/dataset_id", f"class {label!r} has no training rows; every loss needs at least one")

    @cached_property
    def total(self) -> int:
        return sum(self.counts)

    @cached_property
    def shares(self) -> tuple[float, ...]:
        return tuple(count / self.total for count in self.counts)

    def by_label(self, values: Sequence[float]) -> dict[str, float]:
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


class _Loss(Request):
    """What every loss can do: give its terms, and say what a user should know about them."""

    def terms(self, counts: ClassCounts) -> LossTerms:
        raise NotImplementedError

    def notes(self, counts: ClassCounts) -> list[str]:
        return []


class CrossEntropy(_Loss):
    """The negative log-probability of the true class: a proper loss, its probabilities need no correction."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Share of each target spread evenly over all classes.")

    def terms(self, counts: ClassCounts) -> LossTerms:
        return replace(LossTerms.neutral(len(counts.labels)), smoothing=self.label_smoothing)


class BalancedCrossEntropy(_Loss):
    """Cross-entropy in which each class counts by a weight, by default as if all classes were equally frequent.

    With two classes, inverse frequency is alpha / (1 - alpha) = negatives / positives.
    `effective_number` is Cui et al., 2019, arXiv:1901.05555.
    """

    kind: Literal["balanced_cross_entropy"] = "balanced_cross_entropy"
    weights: Literal["inverse_frequency", "sqrt_inverse_frequency", "effective_number"] | dict[str, Annotated[float, Field(gt=0)]] = (
        "inverse_frequency"
    )
    beta: float | None = Field(default=None, ge=0, lt=1, description="Only with `effective_number`; 0.999 when left out.")

    @model_validator(mode="after")
    def _beta_goes_with_effective_number(self) -> Self:
        if self.beta is not None and self.weights != "effective_number":
            raise ValueError('`beta` belongs to weights "effective_number"; leave it out otherwise')
        return self

    def terms(self, counts: ClassCounts) -> LossTerms:
        weights, _ = _mean_one(self._raw(counts), counts)
        return LossTerms.neutral(len(counts.labels)).with_weights(weights)

    def notes(self, counts: ClassCounts) -> list[str]:
        return _weight_notes(self._raw(counts), counts)

    def _raw(self, counts: ClassCounts) -> list[float]:
        if isinstance(self.weights, dict):
            return _explicit(self.weights, counts, "/loss/weights")
        if self.weights == "inverse_frequency":
            return [1 / count for count in counts.counts]
        if self.weights == "sqrt_inverse_frequency":
            return [count**-0.5 for count in counts.counts]
        beta = 0.999 if self.beta is None else self.beta
        if beta == 0:
            return [1.0 for _ in counts.counts]
        # expm1 keeps 1 - beta^n exact when beta is near 1.
        return [(1 - beta) / -math.expm1(count * math.log(beta)) for count in counts.counts]


class Focal(_Loss):
    """Cross-entropy times (1 - p_t)^gamma, which silences examples that are already right.

    `gamma=0` without alpha is cross-entropy to the bit. Lin et al., 2017, arXiv:1708.02002.
    """

    kind: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0, le=20)
    alpha: Annotated[float, Field(gt=0, lt=1)] | Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        default=None,
        description="A number weighs the positive class (1 - alpha the other; two classes only); `balanced` weighs by inverse frequency.",
    )

    def terms(self, counts: ClassCounts) -> LossTerms:
        neutral = replace(LossTerms.neutral(len(counts.labels)), gamma=self.gamma)
        alpha = self.alpha_by_class(counts)
        return neutral if alpha is None else neutral.with_weights(_mean_one(alpha, counts)[0])

    def notes(self, counts: ClassCounts) -> list[str]:
        alpha = self.alpha_by_class(counts)
        return [] if alpha is None else _weight_notes(alpha, counts)

    def alpha_by_class(self, counts: ClassCounts) -> list[float] | None:
        """Return alpha as the user meant it, before weights are scaled to mean 1."""
        if self.alpha is None:
            return None
        if isinstance(self.alpha, dict):
            return _explicit(self.alpha, counts, "/loss/alpha")
        if self.alpha == "balanced":
            inverse = [1 / count for count in counts.counts]
            return [value / sum(inverse) for value in inverse]
        if len(counts.labels) > 2 or counts.positive is None:
            # Libraries read a scalar alpha over several classes in three incompatible ways.
            raise LossMismatch(
                "/loss/alpha",
                f"a single alpha ({self.alpha}) is only defined for two classes, and there are {len(counts.labels)}; "
                'give {label: alpha} or "balanced"',
            )
        return [self.alpha if index == counts.positive else 1 - self.alpha for index in range(2)]


Loss = Annotated[CrossEntropy | BalancedCrossEntropy | Focal, Field(discriminator="kind")]


class LossValues(View):
    """The terms in force, by class label."""

    weights: dict[str, float]
    gamma: float
    alpha: dict[str, float] | None
    shift: dict[str, float]
    margin: dict[str, float]


class ResolvedLoss(View):
    """What was asked for, what it means on these classes, and what to know about it."""

    requested: Loss
    resolved: LossValues
    notes: list[str]


def resolve_loss(loss: CrossEntropy | BalancedCrossEntropy | Focal, counts: ClassCounts) -> ResolvedLoss:
    """Return the numbers `loss` comes to on training rows with these counts; LossMismatch when it does not fit."""
    terms = loss.terms(counts)
    alpha = loss.alpha_by_class(counts) if isinstance(loss, Focal) else None
    values = LossValues(
        weights=counts.by_label(terms.weights),
        gamma=terms.gamma,
        alpha=None if alpha is None else counts.by_label(alpha),
        shift=counts.by_label(terms.shift),
        margin=counts.by_label(terms.margin),
    )
    return ResolvedLoss(requested=loss, resolved=values, notes=loss.notes(counts))


def _explicit(given: dict[str, float], counts: ClassCounts, pointer: str) -> list[float]:
    missing = [label for label in counts.labels if label not in given]
    unknown = [label for label in given if label not in counts.labels]
    if missing or unknown:
        raise LossMismatch(
            pointer,
            f"needs one number for each class: missing {missing}, unknown {unknown}; the classes are {list(counts.labels)}",
        )
    return [given[label] for label in counts.labels]


def _mean_one(weights: Sequence[float], counts: ClassCounts) -> tuple[list[float], float]:
    """Scale weights so that their mean over the training rows is 1; return them and the scale.

    Only ratios move the optimum; the scale would change the effective learning rate and weight decay.
    """
    scale = counts.total / sum(weight * count for weight, count in zip(weights, counts.counts, strict=True))
    return [weight * scale for weight in weights], scale


def _weight_notes(raw: Sequence[float], counts: ClassCounts) -> list[str]:
    weights, scale = _mean_one(raw, counts)
    notes = [f"weights were multiplied by {scale:.6g}, so that their mean over the training rows is 1"]
    heaviest = max(range(len(weights)), key=weights.__getitem__)
    if weights[heaviest] > HEAVY_WEIGHT:
        notes.append(
            f"class {counts.labels[heaviest]!r} has weight {weights[heaviest]:.4g}: a few of its rows will dominate the gradient; "
            "sqrt_inverse_frequency or focal is gentler"
        )
    return notes
