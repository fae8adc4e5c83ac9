"""Networks as functions of a parameter matrix."""

from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter

from counterweight.contracts.loss_resolution import initial_logits, initial_loss
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, BalancedSoftmax, CrossEntropy, Focal, LogitAdjusted
from counterweight.contracts.terms import ClassCounts, prior_bias
from tests.training.every_loss import COUNTS as THREE
from tests.training.every_loss import every_loss
from tests.training.every_network import EDGES, MLP, TABM, every_network
from workers.training.embedding import Pieces
from workers.training.loss import StackedTerms, example_loss
from workers.training.mlp import MlpNetwork
from workers.training.networks import Architecture
from workers.training.tabm import TabmNetwork

COUNTS = ClassCounts(labels=("no", "yes"), counts=(90, 10), positive=1)


def initial(seeds: list[int], network: Architecture = MLP) -> torch.Tensor:
    return network.initial(seeds, [[0.0] * network.classes] * len(seeds)).float()


def varied(network: Architecture, members: int) -> torch.Tensor:
    """Return parameters (members, P) whose head is not zero, so that predictions differ."""
    parameters = initial(list(range(members)), network)
    noise = torch.randn(parameters.shape, generator=torch.Generator().manual_seed(9))
    return parameters + 0.3 * noise


def some_features(rows: int = 10) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(0))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@every_network
def test_every_block_starts_at_a_multiple_of_16(network: Architecture) -> None:
    starts = [view.storage_offset() for view in network.views(initial([0], network)).values()]

    assert all(start % 16 == 0 for start in starts)


@every_network
def test_a_row_holds_weights_then_biases_then_buffers(network: Architecture) -> None:
    starts = {name: view.storage_offset() for name, view in network.views(initial([0], network)).items()}

    bounds = {"weight": (0, network.decayed), "bias": (network.decayed, network.trained), "buffer": (network.trained, network.parameters)}
    for block in network.blocks:
        assert bounds[block.role][0] <= starts[block.name] <= bounds[block.role][1] - block.padded


@every_network
def test_a_member_starts_alike_in_any_stack(network: Architecture) -> None:
    assert torch.equal(initial([4, 7], network)[1], initial([7], network)[0])


@every_network
def test_the_padding_has_no_say(network: Architecture) -> None:
    parameters = varied(network, 2)
    padded = torch.full_like(parameters, 1e9)
    for name, block in network.views(padded).items():
        block.copy_(network.views(parameters)[name])

    logits = network.forward(network.views(padded), some_features())

    assert torch.equal(logits, network.forward(network.views(parameters), some_features()))


@every_network
def test_members_predict_in_any_order_what_each_predicts_alone(network: Architecture) -> None:
    parameters, order = varied(network, 3), [2, 0, 1]

    together = network.forward(network.views(parameters[order]), some_features(), generators(*order))

    for place, member in enumerate(order):
        alone = network.forward(network.views(parameters[member : member + 1]), some_features(), generators(member))
        torch.testing.assert_close(together[place], alone[0])


@every_network
def test_rows_predict_alike_shared_or_not_and_in_any_order(network: Architecture) -> None:
    blocks, features, order = network.views(varied(network, 4)), some_features(), torch.tensor([3, 1, 0, 2, 4])

    logits = network.forward(blocks, features)

    for sets in (2, 4):
        torch.testing.assert_close(network.outputs(blocks, torch.stack([network.embedded(features)] * sets)), logits)
    torch.testing.assert_close(network.forward(blocks, features[order]), logits[:, :, order])


@every_network
def test_each_part_of_the_members_sees_its_own_rows(network: Architecture) -> None:
    blocks = network.views(varied(network, 4))
    first, second = some_features(5), some_features(10)[5:]

    together = network.outputs(blocks, torch.stack([network.embedded(first), network.embedded(second)]))

    torch.testing.assert_close(together[:2], network.forward(blocks, first)[:2])
    torch.testing.assert_close(together[2:], network.forward(blocks, second)[2:])


@every_network
def test_numbers_laid_out_block_after_block_hold_the_same_blocks(network: Architecture) -> None:
    numbers = torch.arange(3.0 * network.parameters)

    spans, blocks = network.spans(numbers, 3), network.blocks_of(numbers, 3)

    assert torch.equal(torch.cat([span.flatten() for span in spans]), numbers)
    assert all(span.is_contiguous() for span in spans)
    for span, block in zip(spans, network.blocks, strict=True):
        assert torch.equal(blocks[block.name].flatten(1), span[:, : block.size])
    alone = torch.arange(1.0 * network.parameters)
    for name, view in network.views(alone[None]).items():
        assert torch.equal(network.blocks_of(alone, 1)[name], view)


@every_network
def test_a_description_comes_back_from_json(network: Architecture) -> None:
    adapter = TypeAdapter(type(network))

    again = adapter.validate_json(adapter.dump_json(network))

    assert again == network
    assert again.blocks == network.blocks


def test_the_embedding_starts_without_a_say() -> None:
    parameters = initial([0])
    blocks = MLP.views(parameters)
    blocks["layer2.weight"].fill_(1.0)

    plain = replace(MLP, edges=()).forward(blocks, some_features())

    assert torch.equal(MLP.forward(blocks, some_features()), plain)


def test_a_piece_rises_from_0_to_1_along_its_stretch() -> None:
    features = torch.tensor([[-2.0, 0.0, 0.0], [-0.75, 0.5, 0.0], [9.0, -9.0, 0.0]])

    embedded = Pieces.of(EDGES).embed(features)

    assert embedded.tolist() == [[0, 0, 1, 0], [0.25, 0, 1, 0.5], [1, 1, 0, 0]]


def test_several_voices_predict_the_mean_of_their_probabilities() -> None:
    logits = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))

    spoken = TABM.one_voice(logits)

    torch.testing.assert_close(spoken.softmax(-1), logits.softmax(-1).mean(dim=1))


def test_one_voice_is_left_to_the_bit() -> None:
    logits = torch.randn(2, 1, 4, 3, generator=torch.Generator().manual_seed(0))

    assert torch.equal(MLP.one_voice(logits), logits[:, 0])


def first_loss(loss: AnyLoss, counts: ClassCounts, kind: MlpNetwork | TabmNetwork = MLP) -> float:
    """Return the mean loss of a new network over training rows with these counts."""
    network = replace(kind, classes=len(counts.labels), cosine=loss.has_cosine_head)
    targets = torch.repeat_interleave(torch.tensor(counts.counts))
    features = torch.randn(len(targets), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = network.initial([0], [initial_logits(loss, counts)])
    logits = network.one_voice(network.forward(network.views(parameters), features))
    return float(example_loss(logits, targets, StackedTerms.of([loss.terms(counts)], torch.float64)).mean())


@every_loss
@pytest.mark.parametrize("kind", [MLP, TABM], ids=lambda kind: kind.kind)
def test_the_first_loss_is_the_one_to_expect(loss: AnyLoss, kind: MlpNetwork | TabmNetwork) -> None:
    assert first_loss(loss, THREE, kind) == pytest.approx(initial_loss(loss, THREE), rel=1e-9)


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


@pytest.mark.parametrize(("kind", "head"), [(MLP, "layer2"), (TABM, "head")])
def test_a_cosine_head_gives_cosines(kind: MlpNetwork | TabmNetwork, head: str) -> None:
    network = replace(kind, cosine=True)
    blocks = network.views(initial([0, 1], network))
    blocks[f"{head}.weight"].normal_(generator=torch.Generator().manual_seed(1))

    cosines = network.forward(blocks, some_features(50))
    blocks[f"{head}.weight"].mul_(3)

    assert cosines.abs().max() <= 1
    assert network.one_voice(cosines).abs().max() <= 1
    assert f"{head}.bias" not in blocks
    torch.testing.assert_close(network.forward(blocks, some_features(50)), cosines)


def test_a_cosine_of_nothing_is_0_with_a_finite_gradient() -> None:
    network = replace(MLP, cosine=True)
    parameters = torch.zeros(1, network.parameters).requires_grad_()

    cosines = network.forward(network.views(parameters), torch.ones(4, 3))
    (gradient,) = torch.autograd.grad(cosines.sum(), parameters)

    assert (cosines == 0).all()
    assert torch.isfinite(gradient).all()


def test_dropout_is_drawn_while_training_alone() -> None:
    network = replace(MLP, dropout=0.5)
    blocks = network.views(varied(network, 1))

    first, second = (network.forward(blocks, some_features(), generators(seed)) for seed in (5, 6))

    assert not torch.equal(first, second)
    assert torch.equal(network.forward(blocks, some_features()), MLP.forward(blocks, some_features()))


def test_focal_starts_at_the_shares_too() -> None:
    bias = prior_bias(Focal().terms(COUNTS), COUNTS.shares)

    assert torch.softmax(torch.tensor(bias), 0).tolist() == pytest.approx([0.9, 0.1])
