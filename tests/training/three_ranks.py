"""What each of three processes that train together comes to, and one alone."""

import math
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from counterweight.contracts.jobs import EarlyStopping
from counterweight.contracts.losses import BalancedCrossEntropy
from tests.training.children import allow_memory
from tests.training.every_network import MLP
from tests.training.test_loop import PACE, plan, rows
from workers.training.happenings import Epoch, Event, Halved, Kept, Trained, Withdrawn
from workers.training.loop import train
from workers.training.mlp import MlpNetwork
from workers.training.networks import Architecture
from workers.training.pace import Pace
from workers.training.population import Plan
from workers.training.ranks import ALONE, Ranks
from workers.training.rows import Rows
from workers.training.saving import NEVER, Keeping, Saved

SIZE = 3
EVEN, JUDGED = rows(300, torch.float64), rows(200, torch.float64, seed=1)
LEARNT = Rows(EVEN.features, EVEN.labels, torch.linspace(0.5, 1.5, 300, dtype=torch.float64))
UNEVEN = replace(PACE, batch_size=76)
FEW = Rows(LEARNT.features[:5], LEARNT.labels[:5])
PLAN = plan(BalancedCrossEntropy(), bias=(0.0, 0.0), stopping=EarlyStopping(metric="log_loss", patience=2), learning_rate=0.05)
WIDE = MlpNetwork(inputs=3, classes=2, hidden=(1024,))
LARGE = rows(8_192, torch.float32)
ONE_STEP = Pace(1, len(LARGE), "constant")


class Run:
    """What a training came to, in numbers that JSON holds."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.kept = [event.saved for event in events if isinstance(event, Kept)]

    @property
    def numbers(self) -> dict[str, object]:
        return {
            "parameters": [event.parameters.flatten().tolist() for event in self.events if isinstance(event, Trained)],
            "best_epoch": [event.best_epoch for event in self.events if isinstance(event, Trained)],
            "values": [list(event.values.values()) for event in self.events if isinstance(event, Epoch)],
            "parts": [event.micro_batch for event in self.events if isinstance(event, Halved)],
            "withdrawn": sum(isinstance(event, Withdrawn) for event in self.events),
        }


def trained(
    ranks: Ranks,
    network: Architecture = MLP,
    each: Plan = PLAN,
    pace: Pace = UNEVEN,
    learnt: Rows = LEARNT,
    judged: Rows | None = JUDGED,
    *,
    is_cancelled: bool = False,
    every_s: float | None = None,
    saved: Saved | None = None,
    micro_batch: int | None = None,
) -> Run:
    keeping = NEVER if every_s is None else Keeping(every_s, lambda _: False)
    # Orders come to the first rank alone.
    heard = train(network, [each], pace, learnt, judged, lambda _: is_cancelled and ranks.is_first, keeping, saved, micro_batch, ranks)
    return Run(list(heard))


def _with_little_memory(ranks: Ranks) -> Run:
    """One step that is too large for the memory of the last rank alone."""
    if ranks.rank == SIZE - 1:
        allow_memory(4_000_000)
    try:
        return trained(ranks, WIDE, plan(), ONE_STEP, LARGE, None)
    finally:
        allow_memory(None)


def work(folder: Path, rank: int) -> dict[str, dict[str, object]]:
    """Train in each of these ways as one of the ranks; return the numbers of each."""
    # Not by the name of the host, which may be known to nobody.
    os.environ["GLOO_SOCKET_IFNAME"] = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=SIZE)
    ranks, drawing = Ranks.joined(), replace(MLP, dropout=0.3)
    whole = trained(ranks, drawing, every_s=-math.inf)
    found = {
        **work_alone(ranks),
        "in parts": trained(ranks, micro_batch=16),
        "cancelled": trained(ranks, is_cancelled=True),
        "whole": whole,
        "rest": trained(ranks, drawing, saved=whole.kept[len(whole.kept) // 2]),
        "large": _with_little_memory(ranks),
    }
    dist.destroy_process_group()
    return {name: run.numbers for name, run in found.items()}


def work_alone(ranks: Ranks = ALONE) -> dict[str, Run]:
    """Train in those ways that must come to the same in one process and in several."""
    few = replace(PACE, batch_size=2)
    return {
        "uneven": trained(ranks),
        "few": trained(ranks, pace=few, learnt=FEW, judged=FEW),
        "without validation": trained(ranks, judged=None, each=replace(PLAN, stopping=None)),
        "large": trained(ranks, WIDE, plan(), ONE_STEP, LARGE, None),
    }
