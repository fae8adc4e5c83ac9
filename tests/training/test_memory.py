"""Too little memory: a stack asks to be trained in smaller ones, and a job alone takes its batches in smaller parts."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.children import allow_memory, results
from tests.training.tables import make_task, two_blobs
from tests.training.test_loop import plan, rows
from workers.training.happenings import Event, Halved, Trained
from workers.training.loop import train
from workers.training.mlp import MlpNetwork
from workers.training.pace import Pace
from workers.training.stepping import SMALLEST_PART
from workers.training.trainer import run

BATCH = 8_192
LITTLE = 30_000_000
"""A batch of so many rows takes 34 MB in a layer of 1,024."""


def _stack(folder: Path, members: int) -> list[str]:
    """Train so many large networks, each with some 17 MB for each of its copies of 4.3 million parameters."""
    specs = [{"learner": {"kind": "mlp", "width": 2048}, "training": {"max_epochs": 1, "seed": seed}} for seed in range(members)]
    task = make_task(folder, specs)
    allow_memory(1_500_000_000)
    return [message.kind for message in run(task, lambda _: False)]


@pytest.mark.parametrize(("members", "end"), [(1, "succeeded"), (32, "split")])
def test_a_stack_that_does_not_fit_asks_for_smaller_ones(tmp_path: Path, members: int, end: str) -> None:
    (kinds,) = results(tmp_path, _stack, (tmp_path, members))

    assert kinds[-members:] == [end] * members


def _one_step() -> dict[str, Any]:
    """Take one step with less memory than it takes, and then in the parts that it came to."""
    learnt, few = rows(BATCH, torch.float32), rows(64, torch.float32)

    def step(micro_batch: int | None) -> list[Event]:
        network, pace = MlpNetwork(inputs=3, classes=2, hidden=(1024,), dropout=0.2), Pace(1, BATCH, "constant")
        return list(train(network, [plan()], pace, learnt, few, lambda _: False, micro_batch=micro_batch))

    allow_memory(LITTLE)
    halved = step(None)
    allow_memory(None)
    parts = [event.micro_batch for event in halved if isinstance(event, Halved)]
    ends = [event.parameters for event in [*halved, *step(parts[-1])] if isinstance(event, Trained)]
    return {"parts": parts, "is_same": torch.equal(*ends)}


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_draws_as_if_it_had_been_so_at_once(tmp_path: Path) -> None:
    ((found),) = results(tmp_path, _one_step, ())

    assert found["parts"] == [BATCH >> times for times in range(1, len(found["parts"]) + 1)]
    assert found["parts"][-1] >= SMALLEST_PART
    assert found["is_same"]


def _job(folder: Path) -> list[dict[str, Any]]:
    """Train a job with too little memory for its first epoch; return what it said."""
    learner, training = {"kind": "mlp", "width": 1024, "numeric_embedding": "none"}, {"max_epochs": 1, "batch_size": BATCH, "refit": True}
    task = make_task(folder, [{"learner": learner, "training": training}], two_blobs(12_800, 2_000))
    told = []
    for message in run(task, lambda _: False):
        if message.kind == "phase" and message.phase == "training":
            allow_memory(LITTLE)
        if message.kind == "epoch":
            allow_memory(None)
        told.append(message.model_dump(mode="json", include={"kind", "message", "resolved"}))
    return told


def test_a_job_whose_batch_does_not_fit_succeeds_in_parts_and_says_so(tmp_path: Path) -> None:
    (told,) = results(tmp_path, _job, (tmp_path,))

    said = [line["message"] for line in told if line["kind"] == "log" and line["message"].startswith("out of memory")]
    resolved = [one["resolved"] for one in told if one["kind"] == "phase" and one["resolved"] is not None]
    assert told[-1]["kind"] == "succeeded"
    assert said
    assert said[-1] == f"out of memory; from now on no more than {resolved[-1]['micro_batch']} rows of a batch are taken at once"
    assert any("whose gradients are added up" in note for note in resolved[-1]["notes"])
