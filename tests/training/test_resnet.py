"""The stacked residual network: each member is the plain one, alone and among others."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from counterweight.contracts.jobs import Optimizer
from counterweight.contracts.learners import Resnet
from counterweight.contracts.loss_resolution import initial_logits
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, CrossEntropy, Focal, Ldam
from counterweight.contracts.terms import ClassCounts
from service.domain import image_networks
from tests.training.reference_resnet import ReferenceResnet
from workers.training.architectures import network_of
from workers.training.forward import all_logits
from workers.training.happenings import Trained
from workers.training.image_encoding import ImageEncoding
from workers.training.loop import train
from workers.training.pace import Pace
from workers.training.population import Plan
from workers.training.resnet import ResnetNetwork
from workers.training.rows import Rows

NETWORK = ResnetNetwork(classes=3, side=8, depth=8, width=4, mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0), augmentation="none")
COUNTS = ClassCounts(labels=("a", "b", "c"), counts=(24, 12, 6), positive=None)
with_each_head = pytest.mark.parametrize("network", [NETWORK, replace(NETWORK, cosine=True)], ids=["linear head", "cosine head"])


def pixels(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (rows, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def varied(network: ResnetNetwork, members: int) -> torch.Tensor:
    """Return rows in float64 with every number moved, variances and scales kept above zero."""
    rows = network.initial(range(members), [[0.0] * network.classes] * members)
    return rows + 0.2 * torch.rand(rows.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def blocks_of(network: ResnetNetwork, rows: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the blocks as a population has them: leaves, and buffers that move without being noticed."""
    learnt = {block.name for block in network.blocks if block.role != "buffer"}
    return {name: view.data.requires_grad_(name in learnt) for name, view in network.views(rows).items()}


def references(network: ResnetNetwork, rows: torch.Tensor) -> list[ReferenceResnet]:
    """Return the plain network of each member."""
    found = []
    for place in range(len(rows)):
        plain = ReferenceResnet(network).double()
        with torch.no_grad():
            for name, tensor in plain.tensors().items():
                tensor.copy_(network.views(rows)[name][place])
        found.append(plain)
    return found


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@with_each_head
@pytest.mark.parametrize("is_shared", [True, False])
def test_each_member_is_the_plain_network_in_values_gradients_and_statistics(network: ResnetNetwork, is_shared: bool) -> None:
    rows = varied(network, 3)
    plain = references(network, rows)
    blocks = blocks_of(network, rows)
    images = pixels(6).double() if is_shared else torch.stack([pixels(6, seed) for seed in range(3)]).double()
    pull = torch.randn(3, 6, network.classes, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    logits = network.outputs(blocks, images[None] if is_shared else images, generators(0, 1, 2))[:, 0]
    (logits * pull).sum().backward()  # type: ignore[no-untyped-call]

    for place, reference in enumerate(plain):
        expected = reference(images if is_shared else images[place])
        (expected * pull[place]).sum().backward()
        torch.testing.assert_close(logits[place], expected, rtol=1e-10, atol=1e-10)
        for name, tensor in reference.tensors().items():
            torch.testing.assert_close(blocks[name][place].detach(), tensor.detach(), rtol=1e-10, atol=1e-10)
            if tensor.requires_grad:
                torch.testing.assert_close(gradient(blocks[name])[place], gradient(tensor), rtol=1e-9, atol=1e-9)


def gradient(tensor: torch.Tensor) -> torch.Tensor:
    assert tensor.grad is not None
    return tensor.grad


@with_each_head
def test_running_statistics_judge_rows_that_were_not_trained_on(network: ResnetNetwork) -> None:
    rows = varied(network, 2)
    plain = references(network, rows)
    blocks = blocks_of(network, rows)
    for seed in range(4):
        network.forward(blocks, pixels(6, seed).double(), generators(0, 1))
        for reference in plain:
            reference(pixels(6, seed).double())

    logits = all_logits(network, rows, pixels(5, seed=9).double())

    for place, reference in enumerate(plain):
        torch.testing.assert_close(logits[place], reference.eval()(pixels(5, seed=9).double()).detach(), rtol=1e-10, atol=1e-10)


def test_judging_moves_no_statistics() -> None:
    rows = varied(NETWORK, 2)
    before = rows.clone()

    all_logits(NETWORK, rows, pixels(7).double())

    assert torch.equal(rows, before)


def test_bytes_and_the_same_numbers_as_floats_are_one_to_it() -> None:
    rows = varied(NETWORK, 2)

    assert torch.equal(all_logits(NETWORK, rows, pixels(7)), all_logits(NETWORK, rows, pixels(7).double()))


def plan(loss: AnyLoss, seed: int, optimizer: Optimizer, **changes: object) -> Plan:
    usual = Plan(
        terms=loss.terms(COUNTS),
        bias=tuple(initial_logits(loss, COUNTS)),
        learning_rate=0.05,
        weight_decay=1e-3,
        ema=0.0,
        seed=seed,
        stopping=None,
        positive=None,
        optimizer=optimizer,
        deferred=loss.deferred_terms(COUNTS),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]  # The tests name real fields.


def rows_of_classes(seed: int) -> Rows:
    labels = torch.arange(42) % 3
    return Rows((pixels(42, seed) // 2 + (labels * 40)[:, None, None, None].to(torch.uint8)).double(), labels)


def trained(network: ResnetNetwork, plans: Sequence[Plan], pace: Pace | None = None) -> list[torch.Tensor]:
    pace = pace or Pace(epochs=5, batch_size=16, schedule="step")
    events = train(network, plans, pace, rows_of_classes(0), rows_of_classes(1), lambda _: False)
    found = {event.member: event.parameters for event in events if isinstance(event, Trained)}
    return [found[member] for member in range(len(plans))]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_member_of_a_stack_is_what_it_is_alone(optimizer: Optimizer) -> None:
    network = replace(NETWORK, augmentation="crop_flip")
    members = [
        plan(CrossEntropy(), 0, optimizer),
        plan(Focal(), 1, optimizer, learning_rate=0.01),
        plan(BalancedCrossEntropy(), 0, optimizer, weight_decay=0.0, ema=0.5),
    ]

    together = trained(network, members)

    for member, parameters in zip(members, together, strict=True):
        torch.testing.assert_close(parameters, trained(network, [member])[0], rtol=0, atol=1e-10)


def test_members_of_one_seed_see_the_same_images_moved_alike() -> None:
    twice = [plan(CrossEntropy(), 3, "sgd")] * 2

    first, second = trained(replace(NETWORK, augmentation="crop_flip"), twice)

    torch.testing.assert_close(first, second, rtol=0, atol=1e-10)


def test_margins_train_with_a_cosine_head_and_then_weigh_the_classes() -> None:
    network = replace(NETWORK, cosine=True, augmentation="crop_flip")
    deferred = replace(plan(Ldam(), 0, "sgd"), bias=(0.0, 0.0, 0.0))

    alone, together = trained(network, [deferred])[0], trained(network, [deferred, replace(deferred, seed=1)])[0]

    torch.testing.assert_close(alone, together, rtol=0, atol=1e-10)


def test_training_tells_bright_images_from_dark_ones() -> None:
    (parameters,) = trained(NETWORK, [plan(CrossEntropy(), 0, "adamw", learning_rate=1e-2)], Pace(30, 16, "flat_cosine"))
    validation = rows_of_classes(1)

    called = all_logits(NETWORK, parameters, validation.features)[0].argmax(dim=1)

    assert (called == validation.labels).float().mean() > 0.8


@pytest.mark.parametrize(("depth", "parameters"), [(20, 269_722), (32, 464_154)])
def test_it_has_the_layers_and_the_parameters_of_the_paper(depth: int, parameters: int) -> None:
    encoding = ImageEncoding(image_size=32, mean=(1.0, 1.0, 1.0), std=(1.0, 1.0, 1.0))
    learner = Resnet.model_validate({"depth": depth})

    network = network_of(learner, encoding, edges=(), classes=10)

    assert sum(block.size for block in network.blocks if block.role != "buffer") == parameters
    assert sum(block.role == "weight" for block in network.blocks) == depth
    assert image_networks.parameters(learner, classes=10) == sum(block.size for block in network.blocks)
