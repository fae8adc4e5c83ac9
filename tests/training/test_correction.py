"""Laws of turning training scores into probabilities."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.contracts.losses import AnyLoss, Poly
from counterweight.contracts.terms import ClassCounts, LossTerms
from tests.training.every_loss import COUNTS, EVERY_LOSS
from workers.training.correction import corrected_log_probabilities, raw_log_probabilities
from workers.training.loss import StackedTerms, example_loss

CORRECTABLE = [loss for loss in EVERY_LOSS if loss.terms(COUNTS).smoothing == 0]
TWO = ClassCounts(labels=("no", "yes"), counts=(90, 10), positive=1)


def test_cross_entropy_needs_no_correction() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 4)) * 10

    corrected = corrected_log_probabilities(logits, LossTerms.neutral(4))

    np.testing.assert_allclose(corrected, raw_log_probabilities(logits, LossTerms.neutral(4)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 20.0])
@pytest.mark.parametrize("margin", [0.0, 0.5])
@pytest.mark.parametrize("epsilon", [-0.9, 0.0, 1.0])
@pytest.mark.parametrize("classes", [2, 5])
def test_corrected_probabilities_sum_to_one_even_for_huge_logits(gamma: float, margin: float, epsilon: float, classes: int) -> None:
    logits = np.random.default_rng(0).normal(size=(200, classes)) * np.logspace(-2, 3, 200)[:, None]
    terms = replace(LossTerms.neutral(classes), gamma=gamma, margin=(margin,) * classes, scale=30.0, epsilon=epsilon)

    log_p = corrected_log_probabilities(logits, terms)

    assert np.isfinite(log_p).all()
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, rtol=1e-12)


@settings(deadline=None, max_examples=8)
@given(st.floats(0, 5), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_at_the_loss_s_minimum_the_correction_returns_nature_s_share(gamma: float, share: float, alpha: float) -> None:
    terms = LossTerms(weights=(1 - alpha, alpha), shift=(0.0, 0.0), margin=(0.0, 0.0), gamma=gamma)
    stacked = StackedTerms.of([terms], torch.float64)

    def slope(logit: float) -> float:
        logits = torch.tensor([[[0.0, logit], [0.0, logit]]], dtype=torch.float64, requires_grad=True)
        risk = example_loss(logits, torch.tensor([0, 1]), stacked)[0] @ torch.tensor([1 - share, share], dtype=torch.float64)
        return float(torch.autograd.grad(risk, logits)[0][0, :, 1].sum())

    low, high = -30.0, 30.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)

    corrected = np.exp(corrected_log_probabilities(np.array([[0.0, low]]), terms))[0, 1]
    assert corrected == pytest.approx(share, rel=1e-6)


@pytest.mark.parametrize("loss", CORRECTABLE, ids=lambda loss: loss.model_dump_json())
def test_at_the_minimum_over_three_classes_the_correction_returns_nature_s_shares(loss: AnyLoss) -> None:
    terms, nature = loss.terms(COUNTS), torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    stacked = StackedTerms.of([terms], torch.float64)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-13, tolerance_change=0, line_search_fn="strong_wolfe")

    def risk() -> torch.Tensor:
        descent.zero_grad()
        value = example_loss(logits.expand(1, 3, 3), torch.arange(3), stacked)[0] @ nature
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped.
        return value

    descent.step(risk)  # type: ignore[no-untyped-call]  # As above.

    corrected = np.exp(corrected_log_probabilities(logits.detach().numpy()[None], terms))[0]
    np.testing.assert_allclose(corrected, nature, rtol=1e-5)


@pytest.mark.parametrize(
    "terms",
    [replace(LossTerms.neutral(2), gamma=2.0), replace(LossTerms.neutral(2), margin=(0.2, 0.5), scale=10), Poly(gamma=1).terms(TWO)],
    ids=["focal", "margins", "poly"],
)
def test_correcting_two_classes_keeps_their_order(terms: LossTerms) -> None:
    logits = np.stack([np.zeros(1001), np.linspace(-2, 2, 1001)], axis=1)

    corrected = corrected_log_probabilities(logits, terms)

    assert (np.diff(corrected[:, 1] - corrected[:, 0]) > 0).all()


def test_a_weighted_class_loses_its_weight() -> None:
    terms = LossTerms.neutral(2).with_weights([1.0, 99.0])

    corrected = np.exp(corrected_log_probabilities(np.zeros((1, 2)), terms))

    np.testing.assert_allclose(corrected, [[0.99, 0.01]])
