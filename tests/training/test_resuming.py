"""A training that was kept at any step goes on to the same digits."""

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
import torch

from counterweight.contracts.jobs import EarlyStopping
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, CrossEntropy, Focal, Ldam
from tests.training.every_network import TABM, every_network
from tests.training.test_loop import NETWORK, PACE, parameters, plan, rows
from workers.training.happenings import Departed, Epoch, Event, Kept, Trained
from workers.training.loop import train
from workers.training.mlp import MlpNetwork
from workers.training.networks import Architecture
from workers.training.pace import Pace
from workers.training.population import Plan
from workers.training.resnet import ResnetNetwork
from workers.training.rows import Rows
from workers.training.saving import NEVER, Keeping, Saved

STEPS_AN_EPOCH = 10
ALL_STEPS = Keeping(-math.inf, lambda _: False)
"""Every step is kept."""

STOPPING = EarlyStopping(metric="log_loss", patience=2)
COSINE = MlpNetwork(inputs=3, classes=2, hidden=(16,), edges=((-1.0, 1.0),) * 3, cosine=True)


class Run:
    """What a training said, and each state that it kept."""

    def __init__(
        self,
        network: Architecture,
        plans: Sequence[Plan],
        pace: Pace = PACE,
        saved: Saved | None = None,
        keeping: Keeping = NEVER,
        gone: Collection[int] = (),
        training: Rows | None = None,
        micro_batch: int | None = None,
    ) -> None:
        learnt, judged = training or rows(300, torch.float32), rows(200, torch.float32, seed=1)
        if training is not None:
            judged = training
        heard = list(train(network, plans, pace, learnt, judged, gone.__contains__, keeping, saved, micro_batch))
        self.kept = [event.saved for event in heard if isinstance(event, Kept)]
        self.events: list[Event] = [event for event in heard if not isinstance(event, Kept)]

    def digits(self, member: int) -> tuple[dict[tuple[int, str], float], list[float], int, int | None]:
        """Everything that one member came to: each series by epoch, its parameters, its best epoch and when its terms changed."""
        (end,) = [event for event in self.events if isinstance(event, Trained) and event.member == member]
        epochs = [event for event in self.events if isinstance(event, Epoch) and event.member == member]
        series = {(epoch.epoch, name): value for epoch in epochs for name, value in epoch.values.items()}
        return series, end.parameters.flatten().tolist(), end.best_epoch, end.deferred_from


def assert_goes_on(whole: Run, rest: Run, members: Sequence[int]) -> None:
    for member in members:
        (series, *end), (left, *same_end) = whole.digits(member), rest.digits(member)
        assert same_end == end
        assert left == {key: series[key] for key in left}


def resumed(saved: Saved, network: Architecture, plans: Sequence[Plan], pace: Pace = PACE, training: Rows | None = None) -> Run:
    return Run(network, plans, pace, saved, training=training)


@every_network
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_every_network_goes_on_to_the_same_digits_from_any_step(network: Architecture, optimizer: str) -> None:
    losses: tuple[AnyLoss, AnyLoss] = (Ldam(), Ldam(scale=20)) if getattr(network, "cosine", False) else (CrossEntropy(), Focal())
    plans = [
        plan(loss, seed, optimizer=optimizer, learning_rate=rate)
        for seed, (loss, rate) in enumerate(zip(losses, (3e-3, 1e-2), strict=True))
    ]
    whole = Run(network, plans, keeping=ALL_STEPS)
    assert len(whole.kept) == PACE.epochs * STEPS_AN_EPOCH

    for saved in random.Random(0).sample(whole.kept, 4):
        rest = resumed(saved, network, plans)

        assert_goes_on(whole, rest, [0, 1])


def test_a_resnet_goes_on_to_the_same_digits() -> None:
    network = ResnetNetwork(classes=2, side=8, depth=8, width=4, mean=(127.0,) * 3, std=(70.0,) * 3)
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (64, 3, 8, 8), dtype=torch.uint8, generator=source)
    images = Rows(pixels, torch.arange(64) % 2)
    plans = [plan(seed=seed, optimizer="sgd", learning_rate=0.1) for seed in (0, 1)]
    pace = Pace(epochs=2, batch_size=16, schedule="step")
    whole = Run(network, plans, pace, keeping=ALL_STEPS, training=images)

    for saved in (whole.kept[1], whole.kept[-2]):
        rest = resumed(saved, network, plans, pace, images)

        assert_goes_on(whole, rest, [0, 1])


def test_a_stack_whose_members_stop_early_goes_on_to_the_same_digits() -> None:
    pace = replace(PACE, epochs=60, schedule="constant")
    rates = (0.1, 0.03, 0.01, 0.003)
    plans = [plan(BalancedCrossEntropy(), seed=seed, stopping=STOPPING, learning_rate=rate) for seed in (0, 1) for rate in rates]
    whole = Run(TABM, plans, pace, keeping=ALL_STEPS)
    sizes = {len(saved.standing.stack) for saved in whole.kept}
    assert len(sizes) > 1, "the stack was to be compacted"

    for saved in random.Random(1).sample(whole.kept, 8):
        rest = resumed(saved, TABM, plans, pace)

        assert_goes_on(whole, rest, saved.standing.active)


def test_deferred_terms_come_into_force_when_they_would_have() -> None:
    pace = replace(PACE, epochs=20)
    plans = [plan(Ldam(), seed=0), plan(Ldam(), seed=1, stopping=STOPPING, learning_rate=0.05)]
    whole = Run(COSINE, plans, pace, keeping=ALL_STEPS)
    assert {whole.digits(member)[3] for member in (0, 1)} != {None}

    for saved in random.Random(2).sample(whole.kept, 10):
        rest = resumed(saved, COSINE, plans, pace)

        assert_goes_on(whole, rest, saved.standing.active)


def test_a_member_that_leaves_is_kept_first_and_goes_on_by_itself_as_alone() -> None:
    plans = [plan(seed=seed) for seed in range(4)]
    whole = Run(NETWORK, plans)
    parted = Run(NETWORK, plans, keeping=Keeping(-math.inf, lambda member: member == 2))
    assert [event.member for event in parted.events if isinstance(event, Departed)] == [2]

    back = Run(NETWORK, plans, saved=parted.kept[0], gone={0, 1, 3})

    assert_goes_on(whole, parted, [0, 1, 3])
    assert torch.allclose(parameters(back.events, 2), parameters(whole.events, 2), rtol=1e-4, atol=1e-6)


def test_what_is_left_of_a_stack_by_more_than_half_keeps_its_digits() -> None:
    plans = [plan(CrossEntropy(), seed=seed) for seed in range(4)]
    whole = Run(NETWORK, plans, keeping=ALL_STEPS)

    rest = Run(NETWORK, plans, saved=whole.kept[17], gone={3})

    assert_goes_on(whole, rest, [0, 1, 2])
