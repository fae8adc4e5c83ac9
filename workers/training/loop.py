"""The training loop: a generator of what happens to each member, epoch by epoch."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from workers.training.errors import Diverged
from workers.training.networks import Pieces, Shape, forward, initial_parameters
from workers.training.population import Plan, Population, derived_seed
from workers.training.validation import Watch, validation_values

CANCEL_POLL_S = 0.5
FORWARD_FLOATS = 16_000_000
"""Numbers in the widest layer of one forward pass without gradients."""
_WEIGHTS, _ORDER, _DROPOUT = range(3)


@dataclass(frozen=True)
class Rows:
    """Features (N, inputs) and labels (N,) on the device."""

    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Pace:
    """What all members of a cohort share."""

    epochs: int
    batch_size: int
    schedule: Literal["flat_cosine", "cosine", "constant"]


@dataclass(frozen=True)
class Epoch:
    """A member finished an epoch."""

    member: int
    epoch: int
    step: int
    values: dict[str, float]
    rows_per_s: float
    eta_s: float


@dataclass(frozen=True)
class Trained:
    """A member is done: the parameters (1, P) of its best epoch."""

    member: int
    parameters: Tensor
    best_epoch: int


@dataclass(frozen=True)
class Lost:
    """A member's loss was not finite."""

    member: int
    error: Diverged


@dataclass(frozen=True)
class Withdrawn:
    """A member was cancelled."""

    member: int


Event = Epoch | Trained | Lost | Withdrawn


def train(
    shape: Shape,
    plans: Sequence[Plan],
    pace: Pace,
    training: Rows,
    validation: Rows,
    pieces: Pieces,
    is_cancelled: Callable[[int], bool],
) -> Iterator[Event]:
    """Train all members together; yield each one's epochs, and at last what became of it.

    Members with the same seed start from the same weights and see the same batches: their losses are compared on equal terms.
    Numbers are of the features' type and device.
    """
    device, dtype, rows = training.features.device, training.features.dtype, len(training.labels)
    batches = math.ceil(rows / pace.batch_size)
    start = initial_parameters(shape, [derived_seed(plan.seed, _WEIGHTS) for plan in plans], [plan.bias for plan in plans])
    population = Population(shape, plans, start.to(device, dtype), _generators(plans, _DROPOUT, device))
    orders = {plan.seed: torch.Generator().manual_seed(derived_seed(plan.seed, _ORDER)) for plan in plans}
    watches = [Watch(plan.stopping) for plan in plans]
    best: dict[int, Tensor] = {}
    stack = list(range(len(plans)))  # member at each place of the stack
    active = set(stack)
    started = time.monotonic()
    for epoch in range(1, pace.epochs + 1):
        seeds = sorted({plans[member].seed for member in stack})
        order = torch.stack([torch.randperm(rows, generator=orders[seed]) for seed in seeds]).to(device)
        of_seed = [seeds.index(plans[member].seed) for member in stack]
        sums = torch.zeros(batches, len(stack), dtype=dtype, device=device)
        polled = time.monotonic()
        # Batches of nearly equal size: a last batch of one row would be a step of pure noise.
        for batch, rows_of_batch in enumerate(order.tensor_split(batches, dim=1)):
            index = rows_of_batch[0] if len(seeds) == 1 else rows_of_batch[of_seed]
            rate = learning_rate_factor(pace, (epoch - 1) + batch / batches)
            sums[batch] = population.step(training.features[index], training.labels[index], pieces, rate)
            if time.monotonic() - polled > CANCEL_POLL_S:
                polled = time.monotonic()
                for member in [member for member in sorted(active) if is_cancelled(member)]:
                    active.discard(member)
                    yield Withdrawn(member)
                if not active:
                    return
        step = epoch * batches
        losses = sums.sum(dim=0).cpu() / rows
        logits = all_logits(shape, population.averages, validation.features, pieces).double().cpu().numpy()
        labels = validation.labels.cpu().numpy()
        passed = time.monotonic() - started
        for place, member in enumerate(stack):
            if member not in active:
                continue
            if is_cancelled(member):
                active.discard(member)
                yield Withdrawn(member)
                continue
            if not torch.isfinite(losses[place]):
                active.discard(member)
                yield Lost(member, _divergence(sums[:, place], order[of_seed[place]], training.labels, batches, epoch))
                continue
            values = {"train/loss": float(losses[place])}
            values |= validation_values(logits[place], labels, plans[member].terms, plans[member].positive)
            if watches[member].is_best(epoch, values):
                best[member] = population.averages[place : place + 1].clone()
            yield Epoch(member, epoch, step, values, rows * epoch / passed, passed / epoch * (pace.epochs - epoch))
            if epoch == pace.epochs or watches[member].is_over(epoch):
                active.discard(member)
                yield Trained(member, best.pop(member), watches[member].best_epoch)
        if not active:
            return
        if 2 * len(active) < len(stack):
            places = [place for place, member in enumerate(stack) if member in active]
            population.keep(places)
            stack = [stack[place] for place in places]


def learning_rate_factor(pace: Pace, epoch: float) -> float:
    """Return the share of the learning rate in force `epoch` epochs after the start."""
    progress = epoch / pace.epochs
    if pace.schedule == "flat_cosine":
        progress = max(0.0, 2 * progress - 1)
    if pace.schedule == "constant":
        progress = 0.0
    return (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def all_logits(shape: Shape, parameters: Tensor, features: Tensor, pieces: Pieces) -> Tensor:
    """Return logits (K, N, C) of any number of rows."""
    blocks = shape.views(parameters)
    widest = max(shape.inputs, shape.pieces, shape.classes, *shape.hidden, 1)
    chunk = max(1, FORWARD_FLOATS // (widest * len(parameters)))
    return torch.cat([forward(shape, blocks, part, pieces) for part in torch.split(features, chunk)], dim=1)


def _generators(plans: Sequence[Plan], purpose: int, device: torch.device) -> list[torch.Generator]:
    return [torch.Generator(device).manual_seed(derived_seed(plan.seed, purpose)) for plan in plans]


def _divergence(sums: Tensor, order: Tensor, labels: Tensor, batches: int, epoch: int) -> Diverged:
    """Return the error that tells the first step without a finite loss, and the classes of its batch."""
    batch = int((~torch.isfinite(sums)).nonzero()[0])
    counts = torch.bincount(labels[order.tensor_split(batches)[batch]], minlength=int(labels.max()) + 1).tolist()
    step = (epoch - 1) * batches + batch + 1
    return Diverged(
        f"the loss was not finite at step {step} (epoch {epoch}), in a batch with {counts} rows of the classes in order",
        "a smaller learning_rate, or gentler class weights",
    )
