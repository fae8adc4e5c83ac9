"""Networks as functions of a parameter matrix."""

from dataclasses import replace

import pytest
import torch

from counterweight.contracts.loss_resolution import initial_logits, initial_loss
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, BalancedSoftmax, CrossEntropy, Focal, LogitAdjusted
from counterweight.contracts.terms import ClassCounts, prior_bias
from tests.training.every_loss import COUNTS as THREE
from tests.training.every_loss import every_loss
from workers.training.loss import StackedTerms, example_loss
from workers.training.networks import Pieces, Shape, forward, initial_parameters

SHAPE = Shape(inputs=3, classes=2, hidden=(5, 7), pieces=4)
PIECES = Pieces(torch.tensor([0, 0, 1, 1]), torch.tensor([-1.0, 0.0, -1.0, 0.0]), torch.ones(4))
COUNTS = ClassCounts(labels=("no", "yes"), counts=(90, 10), positive=1)


def initial(seeds: list[int], shape: Shape = SHAPE) -> torch.Tensor:
    return initial_parameters(shape, seeds, [[0.0] * shape.classes] * len(seeds)).float()


def test_every_block_starts_at_a_multiple_of_16() -> None:
    starts = [view.storage_offset() for view in SHAPE.views(initial([0])).values()]

    assert all(start % 16 == 0 for start in starts)


def test_a_member_starts_alike_in_any_stack() -> None:
    assert torch.equal(initial([4, 7])[1], initial([7])[0])


def test_the_embedding_starts_without_a_say() -> None:
    parameters = initial([0])
    features = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    blocks = SHAPE.views(parameters)
    blocks["layer2.weight"].fill_(1.0)

    plain = forward(replace(SHAPE, pieces=0), blocks, features, PIECES)

    assert torch.equal(forward(SHAPE, blocks, features, PIECES), plain)


def test_a_piece_rises_from_0_to_1_along_its_stretch() -> None:
    features = torch.tensor([[-2.0, 0.0, 0.0], [-0.75, 0.5, 0.0], [9.0, -9.0, 0.0]])

    embedded = PIECES.embed(features)

    assert embedded.tolist() == [[0, 0, 1, 0], [0.25, 0, 1, 0.5], [1, 1, 0, 0]]


def first_loss(loss: AnyLoss, counts: ClassCounts) -> float:
    """Return the mean loss of a new network over training rows with these counts."""
    shape = replace(SHAPE, classes=len(counts.labels), cosine=loss.has_cosine_head)
    targets = torch.repeat_interleave(torch.tensor(counts.counts))
    features = torch.randn(len(targets), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = initial_parameters(shape, [0], [initial_logits(loss, counts)])
    pieces = Pieces(PIECES.column, PIECES.start.double(), PIECES.slope.double())
    logits = forward(shape, shape.views(parameters), features, pieces)
    return float(example_loss(logits, targets, StackedTerms.of([loss.terms(counts)], torch.float64)).mean())


@every_loss
def test_the_first_loss_is_the_one_to_expect(loss: AnyLoss) -> None:
    assert first_loss(loss, THREE) == pytest.approx(initial_loss(loss, THREE), rel=1e-9)


@pytest.mark.parametrize(
    "loss",
    [CrossEntropy(), CrossEntropy(label_smoothing=0.2), BalancedCrossEntropy(), LogitAdjusted(tau=0.5), BalancedSoftmax()],
    ids=lambda loss: loss.kind,
)
def test_without_focusing_no_constant_prediction_costs_less_than_the_first(loss: AnyLoss) -> None:
    constants = torch.linspace(-3, 3, 601, dtype=torch.float64)
    logits = torch.stack([torch.zeros_like(constants), constants], dim=1)[:, None].expand(-1, 100, -1)
    stacked = StackedTerms.of([loss.terms(COUNTS)], torch.float64)
    targets = torch.repeat_interleave(torch.tensor(COUNTS.counts))

    best = min(float(example_loss(each[None], targets, stacked).mean()) for each in logits)

    assert first_loss(loss, COUNTS) == pytest.approx(best, abs=1e-4)


def test_a_cosine_head_gives_cosines() -> None:
    shape = replace(SHAPE, cosine=True)
    parameters = initial([0, 1], shape)
    blocks = shape.views(parameters)
    blocks["layer2.weight"].copy_(torch.randn(2, 7, 2, generator=torch.Generator().manual_seed(1)))
    features = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))

    cosines = forward(shape, blocks, features, PIECES)
    blocks["layer2.weight"].mul_(3)

    assert cosines.abs().max() <= 1
    assert "layer2.bias" not in blocks
    torch.testing.assert_close(forward(shape, blocks, features, PIECES), cosines)


def test_a_cosine_of_nothing_is_0_with_a_finite_gradient() -> None:
    shape = replace(SHAPE, cosine=True)
    parameters = torch.zeros(1, shape.parameters).requires_grad_()

    cosines = forward(shape, shape.views(parameters), torch.ones(4, 3), PIECES)
    (gradient,) = torch.autograd.grad(cosines.sum(), parameters)

    assert (cosines == 0).all()
    assert torch.isfinite(gradient).all()


def test_dropout_draws_for_a_member_what_it_draws_alone() -> None:
    shape = replace(SHAPE, dropout=0.5)
    parameters = initial([0, 1], shape)
    shape.views(parameters)["layer2.weight"].fill_(1.0)
    features = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))

    def generators(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    together = forward(shape, shape.views(parameters), features, PIECES, generators(5, 6))
    alone = forward(shape, shape.views(parameters[1:]), features, PIECES, generators(6))

    torch.testing.assert_close(together[1:], alone)


def test_focal_starts_at_the_shares_too() -> None:
    bias = prior_bias(Focal().terms(COUNTS), COUNTS.shares)

    assert torch.softmax(torch.tensor(bias), 0).tolist() == pytest.approx([0.9, 0.1])
