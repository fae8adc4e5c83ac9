"""What a user is told about a loss on given classes."""

import pytest

from counterweight.contracts.loss_resolution import resolve_loss
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, BalancedSoftmax, CrossEntropy, Focal, Ldam, LogitAdjusted, Poly
from counterweight.contracts.terms import ClassCounts, LossMismatch
from tests.training.every_loss import COUNTS, every_loss

RARE = ClassCounts(labels=("no", "yes"), counts=(990, 10), positive=1)
EVEN = ClassCounts(labels=("no", "yes"), counts=(50, 50), positive=1)


def told(loss: AnyLoss, counts: ClassCounts = RARE) -> str:
    return "\n".join(resolve_loss(loss, counts).notes)


@pytest.mark.parametrize("loss", [CrossEntropy(), Focal()], ids=lambda loss: loss.kind)
def test_there_is_nothing_to_tell_of_a_plain_choice(loss: AnyLoss) -> None:
    assert told(loss) == ""


@pytest.mark.parametrize(
    ("loss", "counts"),
    [
        (Focal(gamma=0), RARE),
        (Focal(gamma=0, alpha=0.5), RARE),
        (LogitAdjusted(tau=0), RARE),
        (LogitAdjusted(), EVEN),
        (BalancedSoftmax(), EVEN),
        (Poly(epsilon=0), RARE),
    ],
)
def test_a_loss_that_comes_to_cross_entropy_says_so(loss: AnyLoss, counts: ClassCounts) -> None:
    assert "makes this plain cross_entropy" in told(loss, counts)


@pytest.mark.parametrize("loss", [BalancedCrossEntropy(), Focal(alpha="balanced")], ids=lambda loss: loss.kind)
def test_weights_on_classes_that_are_balanced_already_change_nothing(loss: AnyLoss) -> None:
    assert told(loss, EVEN) == "all classes come to weight 1: the loss is as without weights"


@pytest.mark.parametrize(
    ("loss", "note"),
    [
        (CrossEntropy(label_smoothing=0.1), "no remedy for unequal classes"),
        (BalancedCrossEntropy(), "weights were multiplied by 500, "),
        (BalancedCrossEntropy(weights={"no": 1, "yes": 200}), "class 'yes' has weight 66.89: "),
        (BalancedCrossEntropy(weights={"no": 1, "yes": 200}), "99 times rarer than 'no' but weighs 200 times as much"),
        (Focal(alpha=0.25), "alpha=0.25 with gamma=2 gives the rare class 'yes' less weight (0.3356) than plain focal (1)"),
        (Focal(alpha={"no": 3.0, "yes": 1.0}), "this alpha with gamma=2 gives the rare class 'yes' less weight"),
        (Focal(alpha="balanced"), "a doubled correction"),
        (Focal(alpha=0.99), "a doubled correction"),
        (Focal(gamma=0, alpha=0.75), "gamma 0 makes this balanced_cross_entropy"),
        (Focal(gamma=7), "gamma=7 is above 5"),
        (Poly(gamma=7), "gamma=7 is above 5"),
        (Poly(epsilon=0, gamma=2), "epsilon 0 makes this focal with gamma=2"),
        (LogitAdjusted(tau=0.5), "ranking and corrected probabilities are those of cross_entropy"),
        (BalancedSoftmax(), "ranking and corrected probabilities are those of cross_entropy"),
        (LogitAdjusted(tau=1.5), "more than balance asks for"),
        (Ldam(), "undoing them is exact only at the loss's minimum"),
        (Ldam(), "in the last fifth of the epochs"),
        (Ldam(), "later weights were multiplied by "),
    ],
)
def test_what_a_user_may_not_expect_is_told(loss: AnyLoss, note: str) -> None:
    assert note in told(loss)


def test_alpha_by_frequency_is_no_doubled_correction_with_a_gentle_gamma() -> None:
    assert "doubled" not in told(Focal(gamma=1, alpha="balanced"))


def test_the_weights_to_come_are_resolved_too() -> None:
    resolved = resolve_loss(Ldam(), RARE).resolved

    assert resolved.weights == {"no": 1, "yes": 1}
    assert resolved.deferred_weights is not None
    assert resolved.deferred_weights["yes"] > 10 > resolved.deferred_weights["no"]


@every_loss
def test_a_class_without_rows_is_named_by_every_loss(loss: AnyLoss) -> None:
    with pytest.raises(LossMismatch, match="class 'b' has no training rows"):
        resolve_loss(loss, ClassCounts(labels=COUNTS.labels, counts=(90, 0, 1)))
