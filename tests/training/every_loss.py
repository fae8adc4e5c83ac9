"""One or more of each loss of the union, for laws that all must keep."""

import pytest

from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, BalancedSoftmax, CrossEntropy, Focal, Ldam, LogitAdjusted, Poly
from counterweight.contracts.terms import ClassCounts

COUNTS = ClassCounts(labels=("a", "b", "c"), counts=(90, 9, 1))
EVERY_LOSS: list[AnyLoss] = [
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.1),
    BalancedCrossEntropy(),
    BalancedCrossEntropy(weights="sqrt_inverse_frequency"),
    BalancedCrossEntropy(weights="effective_number", beta=0.99),
    BalancedCrossEntropy(weights={"a": 1, "b": 2, "c": 3}),
    Focal(),
    Focal(gamma=0),
    Focal(gamma=0.5, alpha="balanced"),
    Focal(gamma=5, alpha={"a": 0.1, "b": 0.2, "c": 0.7}),
    LogitAdjusted(),
    LogitAdjusted(tau=0.5),
    BalancedSoftmax(),
    Ldam(),
    Ldam(max_margin=0.2, scale=10, deferred_reweighting=False),
    Poly(),
    Poly(epsilon=-0.9, gamma=0.5),
    Poly(epsilon=6, gamma=2),
]
every_loss = pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.model_dump_json())
