"""What a loss makes of one row, against the probability that the row's class was given."""

import math

from counterweight.contracts.base import View
from counterweight.contracts.losses import AnyLoss, Loss
from counterweight.contracts.terms import ClassCounts, LossTerms, loss_and_slope


class ClassCurve(View):
    """Loss and gradient of a row of one class at each `p`."""

    loss: list[float]
    gradient: list[float]


class LossCurve(View):
    """A loss over two classes, the positive one with `positive_rows` of `rows` rows.

    `p` is the probability that the raw logits give the row's true class, `gradient` the derivative of the loss by the logit of `p`,
    ln(p / (1 - p)): what pushes the network.
    """

    requested: Loss
    rows: int
    positive_rows: int
    p: list[float]
    positive: ClassCurve
    negative: ClassCurve


def loss_curve(loss: AnyLoss, rows: int, positive_rows: int, points: int) -> LossCurve:
    """Return the loss at `points` values of p, evenly between 0 and 1; LossMismatch when it does not fit two such classes."""
    terms = loss.terms(ClassCounts(("negative", "positive"), (rows - positive_rows, positive_rows), positive=1))
    grid = [(index + 1) / (points + 1) for index in range(points)]
    return LossCurve(
        requested=loss,
        rows=rows,
        positive_rows=positive_rows,
        p=grid,
        positive=_class_curve(grid, terms, true_class=1),
        negative=_class_curve(grid, terms, true_class=0),
    )


def _class_curve(grid: list[float], terms: LossTerms, true_class: int) -> ClassCurve:
    points = [_at(math.log(p) - math.log1p(-p), terms, true_class) for p in grid]
    return ClassCurve(loss=[loss for loss, _ in points], gradient=[gradient for _, gradient in points])


def _at(logit: float, terms: LossTerms, true_class: int) -> tuple[float, float]:
    """Return loss and gradient where the true class's raw score leads the other's by `logit`."""
    own, own_slope = _as_if(logit, terms, true_class)
    other, other_slope = _as_if(-logit, terms, 1 - true_class)
    spread = terms.smoothing / 2  # What smoothing moves to the other class.
    return (1 - spread) * own + spread * other, (1 - spread) * own_slope - spread * other_slope


def _as_if(logit: float, terms: LossTerms, label: int) -> tuple[float, float]:
    lead = logit + terms.scale * (terms.shift[label] - terms.shift[1 - label] - terms.margin[label])
    return loss_and_slope(lead, terms.weights[label], terms)
