"""Networks multiplied in bfloat16, with losses and weights in float32."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from counterweight.contracts.losses import CrossEntropy
from counterweight.contracts.messages import Log, PhaseChanged, Succeeded
from tests.training.every_network import MLP, every_network
from tests.training.tables import make_task, two_blobs
from tests.training.test_loop import MEMBERS, PACE, parameters, series, trained
from tests.training.test_resnet import COUNTS as IMAGES_COUNTS
from tests.training.test_resnet import NETWORK as RESNET
from tests.training.test_resnet import pixels
from workers.training.loop import train
from workers.training.model import load_model
from workers.training.networks import Architecture
from workers.training.population import Population
from workers.training.precision import note_on_slow, precision_of
from workers.training.rows import Rows
from workers.training.trainer import run

CPU = torch.device("cpu")
ROUNDED = replace(PACE, precision="bfloat16")


@pytest.mark.parametrize(
    ("has_tiles", "batch", "precision"), [(True, 256, "bfloat16"), (True, 255, "float32"), (False, 256, "float32"), (False, 255, "float32")]
)
def test_left_open_it_is_bfloat16_where_a_processor_has_tiles_and_batches_that_fill_them(
    monkeypatch: pytest.MonkeyPatch, has_tiles: bool, batch: int, precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "amx_bf16": has_tiles})

    assert precision_of("auto", CPU, batch) == precision
    assert precision_of("float32", CPU, batch) == "float32"
    assert precision_of("bfloat16", CPU, batch) == "bfloat16"
    assert note_on_slow("auto", CPU) is None
    assert (note_on_slow("bfloat16", CPU) is None) == has_tiles


@every_network
def test_a_rounded_network_trains_nearly_as_the_exact_one(network: Architecture) -> None:
    # A cosine head has no bias: all classes are even at first.
    members = [replace(each, bias=(0.0, 0.0)) for each in MEMBERS] if getattr(network, "cosine", False) else MEMBERS

    exact, rounded = (trained(members, dtype=torch.float32, network=network, pace=pace) for pace in (PACE, ROUNDED))

    for member in range(len(members)):
        found, wanted = parameters(rounded, member), parameters(exact, member)
        assert found.dtype == torch.float32
        assert not torch.equal(found, wanted)
        assert series(rounded, "train/loss", member)[-1] == pytest.approx(series(exact, "train/loss", member)[-1], rel=0.03)


def test_a_rounded_network_of_images_starts_with_the_constant_prediction_and_learns() -> None:
    plans = [replace(each, bias=(0.0, 0.0, 0.0), terms=CrossEntropy().terms(IMAGES_COUNTS), deferred=None) for each in MEMBERS]
    labels = torch.arange(90) % 3
    images = Rows((pixels(90).int() // 2 + 60 * labels[:, None, None, None]).clamp(max=255).to(torch.uint8), labels)

    events = list(
        train(RESNET, [replace(each, positive=None) for each in plans], replace(ROUNDED, epochs=8), images, images, lambda _: False)
    )

    for member in range(len(plans)):
        losses = series(events, "train/loss", member)
        assert losses[-1] < 0.8 * losses[0]


def test_the_loss_of_a_rounded_network_is_not_rounded() -> None:
    network = MLP
    inputs, targets = torch.randn(1, 64, network.columns, generator=torch.Generator().manual_seed(0)), torch.arange(64)[None] % 2
    start = network.initial([0], [MEMBERS[0].bias]).float()

    _, losses = Population(network, MEMBERS[:1], start, [torch.Generator()], "bfloat16").gradients((inputs, targets, None), rows=64)

    # The first prediction is the head's bias, whose loss float32 holds to seven digits and bfloat16 to two.
    expected = torch.nn.functional.cross_entropy(torch.tensor([MEMBERS[0].bias]).expand(64, 2), targets[0], reduction="sum")
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses[0], expected, rtol=1e-6, atol=0)


def test_a_job_that_asks_for_bfloat16_gets_it_and_is_told_where_it_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.training.precision.is_bfloat16_fast", lambda _: False)
    found = {}
    for precision in ("auto", "bfloat16"):
        folder = tmp_path / precision
        folder.mkdir()
        spec = {"training": {"max_epochs": 20, "precision": precision}}
        messages = list(run(make_task(folder, [spec], cells=two_blobs(1200, 180)), lambda _: False))
        (end,) = [message for message in messages if isinstance(message, Succeeded)]
        resolved = next(message.resolved for message in messages if isinstance(message, PhaseChanged) and message.resolved)
        found[precision] = resolved, end.evaluation.splits["test"].metrics["average_precision"].value or 0
        told = [message.message for message in messages if isinstance(message, Log) and "no gain in speed" in message.message]
        assert bool(told) == (precision == "bfloat16")

    assert [resolved.precision for resolved, _ in found.values()] == ["float32", "bfloat16"]
    assert found["bfloat16"][1] == pytest.approx(found["auto"][1], abs=0.01)
    assert load_model(tmp_path / "bfloat16" / "job_0").parameters.dtype == torch.float32
