"""The curve of a loss against torch."""

from dataclasses import replace

import pytest
import torch

from counterweight.contracts.loss_curves import loss_curve
from counterweight.contracts.losses import AnyLoss
from counterweight.contracts.terms import ClassCounts
from tests.training.every_loss import EVERY_LOSS
from workers.training.loss import StackedTerms, example_loss

TWO = ClassCounts(labels=("negative", "positive"), counts=(900, 100), positive=1)
OF_TWO = [loss for loss in EVERY_LOSS if not any(isinstance(value, dict) for value in loss.model_dump().values())]


@pytest.mark.parametrize("loss", OF_TWO, ids=lambda loss: loss.model_dump_json())
@pytest.mark.parametrize("true_class", [0, 1], ids=TWO.labels)
def test_a_curve_is_torchs_loss_and_gradient(loss: AnyLoss, true_class: int) -> None:
    terms = loss.terms(TWO)
    curve = loss_curve(loss, rows=1000, positive_rows=100, points=499)
    drawn = curve.positive if true_class == 1 else curve.negative

    # The scale is taken off the terms: the curve's logits are the scaled scores.
    unscaled = replace(
        terms,
        scale=1.0,
        shift=tuple(terms.scale * shift for shift in terms.shift),
        margin=tuple(terms.scale * margin for margin in terms.margin),
    )
    logits = torch.zeros(1, 499, 2, dtype=torch.float64)
    logits[0, :, true_class] = torch.logit(torch.tensor(curve.p, dtype=torch.float64))
    logits.requires_grad_()
    values = example_loss(logits, torch.full((499,), true_class), StackedTerms.of([unscaled], torch.float64))[0]
    (gradient,) = torch.autograd.grad(values.sum(), logits)

    torch.testing.assert_close(torch.tensor(drawn.loss, dtype=torch.float64), values, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(torch.tensor(drawn.gradient, dtype=torch.float64), gradient[0, :, true_class], rtol=1e-9, atol=1e-12)
