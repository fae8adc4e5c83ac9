"""Class weights: the schemes, their common scale, and what a user should know about them."""

import math
from collections.abc import Sequence

from counterweight.contracts.terms import ClassCounts, LossMismatch

HEAVY_WEIGHT = 50.0
"""A class weight above this is noted: single rows then move the network by themselves."""

_LIGHTEST, _HEAVIEST = 1e-30, 1e30
"""Beyond these, products of a weight leave float32."""
_ALIKE = 1e-9


def inverse_frequency(counts: ClassCounts, power: float = 1.0) -> list[float]:
    return [count**-power for count in counts.counts]


def effective_number(counts: ClassCounts, beta: float) -> list[float]:
    """Return (1 - beta) / (1 - beta^n): none at beta 0, towards inverse frequency as beta nears 1. Cui et al., 2019, arXiv:1901.05555."""
    if beta == 0:
        return [1.0 for _ in counts.counts]
    # expm1 keeps 1 - beta^n exact when beta is near 1.
    return [(1 - beta) / -math.expm1(count * math.log(beta)) for count in counts.counts]


def explicit(given: dict[str, float], counts: ClassCounts, pointer: str) -> list[float]:
    """Return the numbers a user wrote, in class order; LossMismatch at `pointer` where a class is missing or unknown."""
    missing = [label for label in counts.labels if label not in given]
    unknown = [label for label in given if label not in counts.labels]
    if missing or unknown:
        raise LossMismatch(
            pointer,
            f"needs one number for each class: missing {missing}, unknown {unknown}; the classes are {list(counts.labels)}",
        )
    return [given[label] for label in counts.labels]


def mean_one(raw: Sequence[float], counts: ClassCounts) -> list[float]:
    """Scale weights so that their mean over the training rows is 1; LossMismatch when a float32 cannot train with them.

    Only ratios move the optimum; the scale would change the effective learning rate and weight decay.
    """
    scale = _scale(raw, counts)
    weights = [weight * scale for weight in raw]
    if not all(_LIGHTEST < weight < _HEAVIEST for weight in weights):  # Also for NaN.
        by_label = counts.by_label(weights)
        raise LossMismatch(
            "/loss", f"the class weights come to {by_label}, which cannot be trained with; choose weights nearer to each other"
        )
    return weights


def weight_notes(raw: Sequence[float], counts: ClassCounts) -> list[str]:
    """Return what to know of weights: their scale, one that dominates, and ones that push the wrong way or too far."""
    scale, weights = _scale(raw, counts), mean_one(raw, counts)
    if are_alike(weights):
        return ["all classes come to weight 1: the loss is as without weights"]
    notes = [] if math.isclose(scale, 1) else [f"weights were multiplied by {scale:.6g}, so that their mean over the training rows is 1"]
    heaviest, rarest = weights.index(max(weights)), counts.rarest
    if weights[heaviest] > HEAVY_WEIGHT:
        notes.append(
            f"class {counts.labels[heaviest]!r} has weight {weights[heaviest]:.4g}: a few of its rows will dominate the gradient; "
            "sqrt_inverse_frequency or focal is gentler"
        )
    commonest = counts.counts.index(max(counts.counts))
    ratio, imbalance = weights[rarest] / weights[commonest], counts.counts[commonest] / counts.counts[rarest]
    if ratio > 2 * imbalance:
        notes.append(
            f"class {counts.labels[rarest]!r} is {imbalance:.4g} times rarer than {counts.labels[commonest]!r} but weighs {ratio:.4g} "
            "times as much: more than balance asks for"
        )
    return notes


def are_alike(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _ALIKE * max(abs(value) for value in values)


def follow_the_prior(weights: Sequence[float], counts: ClassCounts) -> bool:
    """Whether each class's weight times its rows comes to about the same: the weights alone already balance the classes."""
    masses = [weight * count for weight, count in zip(weights, counts.counts, strict=True)]
    return max(masses) < 1.5 * min(masses)


def _scale(raw: Sequence[float], counts: ClassCounts) -> float:
    return counts.total / sum(weight * count for weight, count in zip(raw, counts.counts, strict=True))
