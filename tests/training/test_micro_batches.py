"""A batch taken in parts, whose gradients are added up, is the batch taken at once."""

from dataclasses import replace

import pytest
import torch

from counterweight.contracts.jobs import Optimizer
from counterweight.contracts.losses import BalancedCrossEntropy
from tests.training.every_network import CENTRED, EVERY_NETWORK, every_network
from tests.training.test_loop import PACE, parameters, plan, rows, series
from tests.training.test_resuming import ALL_STEPS, Run, assert_goes_on
from workers.training.happenings import Event
from workers.training.loop import train
from workers.training.networks import Architecture
from workers.training.pace import Pace
from workers.training.population import Plan
from workers.training.rows import Rows

ROWS = rows(300, torch.float64)
WEIGHTED = Rows(ROWS.features, ROWS.labels, torch.linspace(0.5, 1.5, 300, dtype=torch.float64))
UNEVEN = replace(PACE, batch_size=75)
"""Batches of 80 rows and 60: neither is a multiple of 32."""


def _trained(network: Architecture, plans: list[Plan], pace: Pace, micro_batch: int | None) -> list[Event]:
    judged = rows(200, torch.float64, seed=1)
    return list(train(network, plans, pace, WEIGHTED, judged, lambda _: False, micro_batch=micro_batch))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("name", [name for name in EVERY_NETWORK if "dropout" not in name and "buffer" not in name])
def test_parts_come_to_what_whole_batches_do(name: str, optimizer: Optimizer) -> None:
    network = EVERY_NETWORK[name]
    each = plan(BalancedCrossEntropy(), optimizer=optimizer, learning_rate=1e-2, bias=(0.0, 0.0))

    whole, parts = (_trained(network, [each], UNEVEN, micro_batch) for micro_batch in (None, 32))

    torch.testing.assert_close(parameters(parts), parameters(whole), rtol=0, atol=1e-10)
    assert series(parts, "train/loss") == pytest.approx(series(whole, "train/loss"), abs=1e-10)


def test_a_buffer_moves_once_a_batch_and_not_once_a_part() -> None:
    steady = plan(learning_rate=1e-15, ema=0.0, bias=(0.0, 0.0))

    whole, parts = (_trained(CENTRED, [steady], UNEVEN, micro_batch) for micro_batch in (None, 32))

    torch.testing.assert_close(parameters(parts), parameters(whole), rtol=0, atol=1e-10)


@every_network
def test_a_training_in_parts_goes_on_in_parts_to_the_same_digits(network: Architecture) -> None:
    plans = [plan(bias=(0.0, 0.0))]
    whole = Run(network, plans, UNEVEN, keeping=ALL_STEPS, micro_batch=16)

    rest = Run(network, plans, UNEVEN, saved=whole.kept[6])

    assert_goes_on(whole, rest, [0])
