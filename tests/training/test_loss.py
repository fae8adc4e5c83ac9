"""Laws that every loss of the union keeps."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.contracts.losses import AnyLoss, BalancedSoftmax, CrossEntropy, Focal, Ldam, LogitAdjusted, Poly
from counterweight.contracts.terms import ClassCounts, LossTerms, losses_by_class
from tests.training.every_loss import COUNTS, EVERY_LOSS, every_loss
from workers.training.loss import StackedTerms, example_loss


def stacked(*losses: AnyLoss, counts: ClassCounts = COUNTS, dtype: torch.dtype = torch.float32) -> StackedTerms:
    return StackedTerms.of([loss.terms(counts) for loss in losses], dtype)


def random_logits(members: int = 1, rows: int = 50, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return 3 * torch.randn(members, rows, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))


def random_targets(rows: int = 50) -> torch.Tensor:
    return torch.randint(0, 3, (rows,), generator=torch.Generator().manual_seed(1))


def test_every_kind_is_put_to_the_test() -> None:
    assert {type(loss) for loss in EVERY_LOSS} == set(get_args(AnyLoss))


@every_loss
def test_a_loss_is_never_negative(loss: AnyLoss) -> None:
    values = example_loss(random_logits(), random_targets(), stacked(loss))

    assert (values >= 0).all()


@every_loss
def test_a_loss_falls_as_the_true_class_gets_likelier(loss: AnyLoss) -> None:
    logits = torch.zeros(1, 200, 3)
    logits[0, :, 1] = torch.linspace(-8, 2, 200)

    values = example_loss(logits, torch.full((200,), 1), stacked(loss))

    assert (values.diff() < 0).all()


@every_loss
def test_adding_a_number_to_all_logits_changes_nothing(loss: AnyLoss) -> None:
    logits = random_logits(dtype=torch.float64)
    terms = stacked(loss, dtype=torch.float64)

    torch.testing.assert_close(example_loss(logits + 7, random_targets(), terms), example_loss(logits, random_targets(), terms))


@every_loss
def test_the_gradient_over_the_classes_sums_to_zero(loss: AnyLoss) -> None:
    logits = random_logits(dtype=torch.float64).requires_grad_()

    total = example_loss(logits, random_targets(), stacked(loss, dtype=torch.float64)).sum()
    (gradient,) = torch.autograd.grad(total, logits)

    assert gradient.sum(dim=2).abs().max() < 1e-12


@every_loss
@pytest.mark.parametrize("size", [17.0, 88.0, 1000.0])
@pytest.mark.parametrize("target", [0, 1, 2])
def test_value_and_gradient_are_finite_for_huge_logits(loss: AnyLoss, size: float, target: int) -> None:
    logits = torch.tensor([[[size, -size, 0.0], [-size, size, size], [size, size, -size]]]).requires_grad_()

    values = example_loss(logits, torch.full((3,), target), stacked(loss))
    (gradient,) = torch.autograd.grad(values.sum(), logits)

    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


@every_loss
def test_the_gradient_is_the_slope(loss: AnyLoss) -> None:
    logits = random_logits(rows=4, dtype=torch.float64).requires_grad_()
    terms = stacked(loss, dtype=torch.float64)

    assert torch.autograd.gradcheck(lambda given: example_loss(given, random_targets(4), terms), (logits,))


@every_loss
def test_the_formula_in_plain_numbers_is_torchs(loss: AnyLoss) -> None:
    logits = random_logits(rows=20, dtype=torch.float64)
    terms = loss.terms(COUNTS)

    stack = StackedTerms.of([terms], torch.float64)
    by_class = torch.stack([example_loss(logits, torch.full((20,), index), stack)[0] for index in range(3)])

    plain = torch.tensor([losses_by_class(row, terms) for row in logits[0].tolist()], dtype=torch.float64)
    torch.testing.assert_close(by_class.T, plain, rtol=1e-12, atol=1e-14)


@every_loss
def test_renaming_the_classes_renames_the_losses(loss: AnyLoss) -> None:
    order = [2, 0, 1]
    renamed = ClassCounts(tuple(COUNTS.labels[index] for index in order), tuple(COUNTS.counts[index] for index in order))
    logits, targets = random_logits(dtype=torch.float64), random_targets()

    values = example_loss(logits, targets, stacked(loss, dtype=torch.float64))

    place = torch.tensor([order.index(index) for index in range(3)])
    same = example_loss(logits[:, :, order], place[targets], stacked(loss, counts=renamed, dtype=torch.float64))
    torch.testing.assert_close(same, values, rtol=1e-12, atol=1e-14)


@every_loss
def test_weights_have_mean_1_over_the_training_rows(loss: AnyLoss) -> None:
    for terms in (loss.terms(COUNTS), loss.deferred_terms(COUNTS) or loss.terms(COUNTS)):
        assert sum(share * weight for share, weight in zip(COUNTS.shares, terms.weights, strict=True)) == pytest.approx(1)


@every_loss
def test_half_precision_logits_are_raised_to_float32(loss: AnyLoss) -> None:
    values = example_loss(random_logits().bfloat16(), random_targets(), stacked(loss))

    assert values.dtype == torch.float32


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("loss", [Focal(gamma=0), LogitAdjusted(tau=0), Poly(epsilon=0)], ids=lambda loss: loss.kind)
def test_a_loss_without_its_term_is_cross_entropy_to_the_bit(loss: AnyLoss, classes: int) -> None:
    counts = ClassCounts(labels=("a", "b", "c")[:classes], counts=(90, 9, 1)[:classes], positive=1 if classes == 2 else None)
    logits = (50 * torch.randn(1, 500, classes, generator=torch.Generator().manual_seed(0))).requires_grad_()
    same = logits.detach().clone().requires_grad_()
    targets = torch.arange(500) % classes

    plain = example_loss(logits, targets, stacked(CrossEntropy(), counts=counts))
    other = example_loss(same, targets, stacked(loss, counts=counts))

    assert torch.equal(plain, other)
    assert torch.equal(torch.autograd.grad(plain.sum(), logits)[0], torch.autograd.grad(other.sum(), same)[0])


def test_balanced_softmax_is_logit_adjusted_with_tau_1() -> None:
    assert BalancedSoftmax().terms(COUNTS) == LogitAdjusted(tau=1).terms(COUNTS)


def test_logit_adjusted_asks_most_of_the_rarest_class() -> None:
    values = example_loss(torch.zeros(1, 3, 3), torch.arange(3), stacked(LogitAdjusted()))[0]

    assert values[0] < values[1] < values[2]


def test_ldam_asks_the_widest_margin_of_the_rarest_class_and_weighs_it_later() -> None:
    terms, deferred = Ldam().terms(COUNTS), Ldam().deferred_terms(COUNTS)

    assert terms.margin == pytest.approx([0.5 * count**-0.25 for count in COUNTS.counts])
    assert terms.weights == (1.0, 1.0, 1.0)
    assert deferred is not None
    assert deferred == replace(terms, weights=deferred.weights)
    assert deferred.weights[0] < deferred.weights[1] < deferred.weights[2]


def test_ldam_without_deferred_reweighting_has_one_stage() -> None:
    assert Ldam(deferred_reweighting=False).deferred_terms(COUNTS) is None


def test_neutral_terms_are_torchs_cross_entropy() -> None:
    logits, targets = random_logits(dtype=torch.float64), random_targets()

    values = example_loss(logits, targets, stacked(CrossEntropy(), dtype=torch.float64))

    torch.testing.assert_close(values[0], F.cross_entropy(logits[0], targets, reduction="none"), rtol=1e-12, atol=1e-14)


def test_smoothing_is_torchs() -> None:
    logits, targets = random_logits(dtype=torch.float64), random_targets()

    values = example_loss(logits, targets, stacked(CrossEntropy(label_smoothing=0.3), dtype=torch.float64))

    expected = F.cross_entropy(logits[0], targets, reduction="none", label_smoothing=0.3)
    torch.testing.assert_close(values[0], expected, rtol=1e-12, atol=1e-14)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 8), st.floats(-20, 20))
def test_focal_is_cross_entropy_times_the_miss_to_the_gamma(gamma: float, logit: float) -> None:
    counts = ClassCounts(labels=("no", "yes"), counts=(9, 1), positive=1)
    logits = torch.tensor([[[0.0, logit]]], dtype=torch.float64)

    value = example_loss(logits, torch.tensor([1]), stacked(Focal(gamma=gamma), counts=counts, dtype=torch.float64))

    miss, surprise = 1 / (1 + math.exp(logit)), math.log1p(math.exp(-logit))
    assert value.item() == pytest.approx(miss**gamma * surprise, rel=1e-9, abs=1e-300)


def test_members_in_a_stack_do_not_touch_each_other() -> None:
    logits = random_logits(members=len(EVERY_LOSS), dtype=torch.float64)

    together = example_loss(logits, random_targets(), stacked(*EVERY_LOSS, dtype=torch.float64))

    for place, loss in enumerate(EVERY_LOSS):
        alone = example_loss(logits[place : place + 1], random_targets(), stacked(loss, dtype=torch.float64))
        torch.testing.assert_close(together[place : place + 1], alone, rtol=1e-12, atol=1e-14)


def test_a_member_that_is_nan_leaves_the_others_alone() -> None:
    logits = random_logits(members=2)
    logits[0] = torch.nan

    values = example_loss(logits, random_targets(), stacked(CrossEntropy(), Focal()))

    assert torch.isfinite(values[1]).all()


def test_each_member_may_have_its_own_targets() -> None:
    logits = random_logits(members=1).repeat(2, 1, 1)
    targets = torch.stack([random_targets(), random_targets().flip(0)])

    values = example_loss(logits, targets, stacked(CrossEntropy(), CrossEntropy()))

    assert torch.equal(values[1:], example_loss(logits[1:], targets[1], stacked(CrossEntropy())))


def test_a_margin_asks_more_of_its_class_alone() -> None:
    margin = replace(LossTerms.neutral(3), margin=(0.0, 0.0, 1.0))
    undecided = torch.zeros(1, 3, 3)

    values = example_loss(undecided, torch.arange(3), StackedTerms.of([margin]))[0]

    assert values[0] == values[1] < values[2]
