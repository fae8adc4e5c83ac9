"""A step whose batch, rate and number lie in buffers, as a GPU replays it: on a processor the same step, taken and not recorded."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from counterweight.contracts.jobs import Optimizer
from counterweight.contracts.losses import Focal
from tests.training.every_network import MLP, every_network
from tests.training.test_loop import MEMBERS, PACE, parameters, plan, rows, series, trained
from workers.training import stepping
from workers.training.networks import Architecture
from workers.training.population import Plan, Population
from workers.training.rows import Rows, Source
from workers.training.stepping import StepBuffers, Stepper

ROWS = rows(96, torch.float64)
WEIGHTED = Rows(ROWS.features, ROWS.labels, torch.linspace(0.5, 1.5, 96, dtype=torch.float64))
SIZES = (32, 48, 16)


def _population(network: Architecture, plans: Sequence[Plan]) -> Population:
    start = network.initial(range(len(plans)), [each.bias for each in plans])
    return Population(network, plans, start, [torch.Generator().manual_seed(place) for place in range(len(plans))])


def _stepper(population: Population, network: Architecture, learnt: Rows) -> Stepper:
    return Stepper(population, Source(network, learnt.features), learnt.labels, learnt.weights)


def _averages(population: Population, members: int) -> torch.Tensor:
    return torch.cat([population.average_of(place) for place in range(members)])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("learnt", [ROWS, WEIGHTED], ids=["plain", "weighted"])
@every_network
def test_a_step_out_of_buffers_is_the_ordinary_step(network: Architecture, learnt: Rows, optimizer: Optimizer) -> None:
    plans = [replace(each, optimizer=optimizer) for each in MEMBERS]
    ordinary, buffered = _population(network, plans), _population(network, plans)
    usual, static = _stepper(ordinary, network, learnt), _stepper(buffered, network, learnt)
    buffers: dict[torch.Size, StepBuffers] = {}

    for number in range(1, 13):
        index = torch.randperm(96, generator=torch.Generator().manual_seed(number))[None, : SIZES[number % 3]]
        mine = buffers.setdefault(index.shape, StepBuffers(static.take, index, torch.float64))
        mine.fill(index, 1 / number, number)
        torch.testing.assert_close(mine.run(), usual.step(index, 1 / number, number), rtol=0, atol=1e-9)

    torch.testing.assert_close(_averages(buffered, len(plans)), _averages(ordinary, len(plans)), rtol=0, atol=1e-12)


def test_the_buffers_stay_where_they_are_and_hold_what_was_put_into_them() -> None:
    seen: list[tuple[int, int, int, list[int], float, float]] = []

    def take(index: torch.Tensor, rate: torch.Tensor, number: torch.Tensor) -> torch.Tensor:
        seen.append((index.data_ptr(), rate.data_ptr(), number.data_ptr(), index.flatten().tolist(), float(rate), float(number)))
        return index

    buffers = StepBuffers(take, torch.tensor([[1, 2]]), torch.float64)  # type: ignore[arg-type]  # Buffers hand over tensors.
    for number, index in enumerate(([3, 4], [5, 6]), start=1):
        buffers.fill(torch.tensor([index]), 0.5 * number, number)
        buffers.run()

    assert seen[0][:3] == seen[1][:3]
    assert [each[3:] for each in seen] == [([3, 4], 0.5, 1.0), ([5, 6], 1.0, 2.0)]


def test_where_recording_fails_steps_are_taken_as_they_are_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # As on a GPU, but that this one cannot record.
    monkeypatch.setattr(stepping, "EAGER_STEPS", 0)
    monkeypatch.setattr(stepping, "can_record", lambda _: True)
    ordinary, failing = _population(MLP, MEMBERS), _population(MLP, MEMBERS)
    stepper = _stepper(failing, MLP, ROWS)
    monkeypatch.setattr(stepping, "can_record", lambda _: False)
    usual = _stepper(ordinary, MLP, ROWS)

    with caplog.at_level(logging.WARNING):
        for number in (1, 2):
            index = torch.arange(32)[None]
            assert torch.equal(stepper.step(index, 1.0, number), usual.step(index, 1.0, number))

    assert [record.message.partition(" (")[0] for record in caplog.records] == ["the training step cannot be recorded as a CUDA graph"]


def test_a_stack_is_rebuilt_without_its_ended_half() -> None:
    gone = [plan(epochs=1), plan(Focal(), epochs=1)]
    sizes: list[int] = []
    keep = Population.keep

    def noticed(population: Population, places: Sequence[int], steps: int) -> None:
        sizes.append(len(places))
        keep(population, places, steps)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Population, "keep", noticed)
        events = trained([*gone, *MEMBERS[:2]])

    assert sizes == [2]
    torch.testing.assert_close(parameters(events, 3), parameters(trained([MEMBERS[1]])), rtol=0, atol=1e-10)
    assert len(series(events, "train/loss", 2)) == PACE.epochs
