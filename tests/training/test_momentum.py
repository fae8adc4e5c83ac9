"""Gradient descent with momentum over a stack is torch's own, member by member; and the steps of its learning rate."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from counterweight.contracts.losses import CrossEntropy
from counterweight.contracts.terms import ClassCounts
from workers.training.mlp import MlpNetwork
from workers.training.pace import Pace, learning_rate_factor
from workers.training.population import Plan, Population

NETWORK = MlpNetwork(inputs=4, classes=3, hidden=(6,))
COUNTS = ClassCounts(labels=("a", "b", "c"), counts=(5, 3, 2), positive=None)
PLAN = Plan(
    terms=CrossEntropy().terms(COUNTS),
    bias=(0.0, 0.0, 0.0),
    learning_rate=0.5,
    weight_decay=0.02,
    ema=0.0,
    seed=0,
    stopping=None,
    positive=None,
    optimizer="sgd",
)


def test_each_member_steps_as_with_torch_s_own_optimiser() -> None:
    source = torch.Generator().manual_seed(0)
    features = torch.randn(20, 4, generator=source, dtype=torch.float64)
    targets = torch.randint(0, 3, (20,), generator=source)
    plans = [PLAN, replace(PLAN, learning_rate=0.1, weight_decay=0.3)]
    start = NETWORK.initial([0, 1], [plan.bias for plan in plans])
    population = Population(NETWORK, plans, start.clone(), [torch.Generator(), torch.Generator()])

    for step in range(25):
        gradients, _ = population.gradients((NETWORK.embedded(features)[None], targets[None], None), rows=20)
        population.move(gradients, rate=1.0 if step < 15 else 0.1, number=step + 1)

    for place, plan in enumerate(plans):
        blocks = {name: view[place].clone().requires_grad_() for name, view in NETWORK.views(start).items()}
        weights = [blocks["layer0.weight"], blocks["layer1.weight"]]
        biases = [blocks["layer0.bias"], blocks["layer1.bias"]]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": plan.weight_decay}, {"params": biases}]
        optimizer = torch.optim.SGD(groups, lr=plan.learning_rate, momentum=0.9)
        for step in range(25):
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate * (1.0 if step < 15 else 0.1)
            hidden = F.relu(weights[0] @ NETWORK.embedded(features).T + biases[0])
            optimizer.zero_grad()
            F.cross_entropy((weights[1] @ hidden + biases[1]).T, targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        for name, block in blocks.items():
            torch.testing.assert_close(population.averages[name][place], block.detach(), rtol=0, atol=1e-10)


def test_a_single_epoch_warms_up_and_is_not_after_its_end_yet() -> None:
    assert learning_rate_factor(Pace(epochs=1, batch_size=128, schedule="step"), 0.5) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("epoch", "factor"), [(1, 0.2), (4, 0.8), (5, 1.0), (160, 1.0), (161, 0.01), (180, 0.01), (181, 1e-4), (200, 1e-4)]
)
def test_the_steps_are_those_of_two_hundred_epochs(epoch: int, factor: float) -> None:
    pace = Pace(epochs=200, batch_size=128, schedule="step")

    assert learning_rate_factor(pace, epoch - 1) == pytest.approx(factor)
    assert learning_rate_factor(pace, epoch - 0.001) == pytest.approx(factor)
