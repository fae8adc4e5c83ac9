"""K networks trained by one program: one vector of parameters, one fused optimiser, nothing of one member in another."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.optim.adamw import adamw

from counterweight.contracts.jobs import EarlyStopping, Optimizer, Precision
from counterweight.contracts.terms import LossTerms
from workers.training.loss import StackedTerms, example_loss
from workers.training.momentum import Momentum
from workers.training.networks import Architecture, stacked

CLIP_NORM = 1.0

Part: TypeAlias = tuple[Tensor, Tensor, Tensor | None]
"""Rows of a batch: embedded inputs (G, N, …), targets (G, N), and how much each example's loss counts (G, N), at a mean of 1 over all
training rows, or None where all count alike; a set for each G-th part of the members in order."""

Number: TypeAlias = float | Tensor
"""A number of a step that the host knows, or that lies in a tensor () on the device, where it can change without the host."""


@dataclass(frozen=True)
class Plan:
    """How one member trains; `positive` is the class its average precision is about (None: the mean over all classes).

    `deferred` are the terms of its last stage, where it has one: it begins with the epoch `deferred_from`, by itself with the last
    fifth of the epochs. A member with `epochs` of its own is done after these.
    """

    terms: LossTerms
    bias: tuple[float, ...]
    learning_rate: float
    weight_decay: float
    ema: float
    seed: int
    stopping: EarlyStopping | None
    positive: int | None
    optimizer: Optimizer = "adamw"
    deferred: LossTerms | None = None
    deferred_from: int | None = None
    epochs: int | None = None


def derived_seed(seed: int, *purpose: int) -> int:
    """Return a seed for one purpose, so that the order of batches does not hang together with the initial weights."""
    return int(np.random.SeedSequence([seed, *purpose]).generate_state(1, np.uint64)[0] >> 1)


class Population:
    """The members still in the stack. `averages` are the blocks of their parameters' moving averages, which are what is validated and
    kept; `terms` are those in force.

    All numbers of a kind (parameters, gradients, moments, averages) are one vector, block after block and in each block member after
    member: a product takes a block of all members as it lies.
    """

    def __init__(
        self,
        network: Architecture,
        plans: Sequence[Plan],
        parameters: Tensor,
        draws: Sequence[torch.Generator],
        precision: Precision = "float32",
    ) -> None:
        self._network = network
        # The network alone: its loss, its weights and what moves them keep their own digits.
        self._rounding: AbstractContextManager[object] = (
            torch.autocast(parameters.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
        )
        views = network.views(parameters)
        start = torch.zeros(parameters.numel(), dtype=parameters.dtype, device=parameters.device)
        for name, block in network.blocks_of(start, len(plans)).items():
            block.copy_(views[name])
        numbers = [start, start.clone(), torch.zeros_like(start), torch.zeros_like(start)]
        self._settle(plans, [plan.terms for plan in plans], draws, numbers, steps=0)

    def _settle(
        self, plans: Sequence[Plan], terms: Sequence[LossTerms], draws: Sequence[torch.Generator], numbers: Sequence[Tensor], steps: int
    ) -> None:
        self._plans, self.draws, self._numbers = list(plans), list(draws), list(numbers)
        parameters, averages, means, squares = numbers
        network, members = self._network, len(plans)
        # Leaves that share the vector's memory: the graph sees single weights and biases, everything after it one vector.
        # By `data`, which has a version of its own: a network may move its buffers between its forward and its backward pass.
        self._blocks = {name: block.data for name, block in network.blocks_of(parameters, members).items()}
        self._learnt = [block for block in network.blocks if block.role != "buffer"]
        self._leaves = [self._blocks[block.name].requires_grad_() for block in self._learnt]
        self._padded = [parameters.new_zeros(members, block.padded) if block.padded != block.size else None for block in self._learnt]
        self.averages = network.blocks_of(averages, members)
        self._averagers = _averagers(plans, network, averages, parameters)
        # The recipes of SGD know no clipping: with its large steps it would be at work all the time.
        self._clips = plans[0].optimizer != "sgd"
        self._groups = _groups(plans, network, (parameters, means, squares), steps)
        self.use(terms)

    def gradients(self, part: Part, rows: int) -> tuple[list[Tensor], Tensor]:
        """Return the gradients of each member's summed loss divided by `rows`, as the parameters lie, and the summed losses (K,).

        The part is all `rows` of a batch, or some of them. The loss of a member of several voices is the mean of theirs: each learns for
        itself. The gradients stand until the next ones are asked for.
        """
        inputs, targets, weights = part
        with self._rounding:
            logits = self._network.outputs(self._blocks, inputs, self.draws)
        losses = _voices_loss(logits, targets, self._stacked)
        if weights is not None:
            losses = losses * stacked(weights, len(losses))
        summed = losses.sum(dim=1)
        # Of one number: for others PyTorch asks for its symbolic shapes, which take each new worker half a second to import.
        return self._spans(torch.autograd.grad(summed.sum() * (1 / rows), self._leaves)), summed.detach()

    def move(self, gradients: Sequence[Tensor], rate: Number, number: Number) -> None:
        """Take step `number`, the first is 1, down these gradients, at `rate` times each member's learning rate."""
        if self._clips:
            _clip(gradients)
        for group in self._groups:
            group.step(gradients, rate)
        for averager in self._averagers:
            averager.step(number)

    def sum_of(self, parts: Iterable[Part], rows: int) -> "Sum":
        """Return the sum of what parts of a batch of so many rows come to.

        Buffers begin each part where they are now, as if it were the batch, and their mean is kept: where a network looks at the batch
        as a whole (a batch norm), it looks at each part by itself, and the result is another.
        """
        total, before = Sum(self._network, self.members, self._numbers[0]), [buffer.clone() for buffer in self._buffers]
        for part in parts:
            _copy(self._buffers, before)
            total.add(*self.gradients(part, rows), self._buffers, part[1].shape[1] / rows)
        return total

    def move_by(self, total: "Sum", rate: Number, number: Number) -> None:
        """Take step `number` by what all parts of a batch came to."""
        _copy(self._buffers, total.buffers)
        self.move(total.gradients, rate, number)

    def mark(self) -> "Mark":
        """Return what a forward pass moves, as it is now."""
        return Mark([draw.get_state() for draw in self.draws], [buffer.clone() for buffer in self._buffers])

    def go_back(self, mark: "Mark") -> None:
        """Undo what forward passes have moved since."""
        for draw, state in zip(self.draws, mark.draws, strict=True):
            draw.set_state(state)
        _copy(self._buffers, mark.buffers)

    @property
    def members(self) -> int:
        return len(self._plans)

    @property
    def _buffers(self) -> list[Tensor]:
        return self._network.spans(self._numbers[0], self.members)[len(self._learnt) :]

    def _spans(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients as the parameters lie, (K, padded) each."""
        spans = []
        for gradient, buffer in zip(gradients, self._padded, strict=True):
            flat = gradient.reshape(len(gradient), -1)
            if buffer is not None:
                buffer[:, : flat.shape[1]] = flat
            spans.append(flat if buffer is None else buffer)
        return spans

    def use(self, terms: Sequence[LossTerms]) -> None:
        """Let each member's loss have these terms from now on."""
        self.terms = list(terms)
        self._stacked = StackedTerms.of(self.terms, self._numbers[0].dtype, self._numbers[0].device)

    @property
    def dtype(self) -> torch.dtype:
        return self._numbers[0].dtype

    @property
    def numbers(self) -> list[Tensor]:
        """The vectors of parameters, averages and both moments: with the number of steps, all that a population remembers."""
        return self._numbers

    def take_up(self, numbers: Sequence[Tensor], steps: int) -> None:
        """Go on from what a population of the same members had come to after so many steps."""
        for own, saved in zip(self._numbers, numbers, strict=True):
            own.copy_(saved)
        self._settle(self._plans, self.terms, self.draws, self._numbers, steps)

    def average_of(self, place: int) -> Tensor:
        """Return the averages of the member at `place` as a row (1, parameters) of its own."""
        return self._chosen(self._numbers[1], [place])[None]

    def keep(self, places: Sequence[int], steps: int) -> None:
        """Drop all members but those at `places` after so many steps; these go on as if nothing had happened."""
        self._settle(
            [self._plans[place] for place in places],
            [self.terms[place] for place in places],
            [self.draws[place] for place in places],
            [self._chosen(numbers, places) for numbers in self._numbers],
            steps,
        )

    def _chosen(self, numbers: Tensor, places: Sequence[int]) -> Tensor:
        index = torch.tensor(places, device=numbers.device)
        return torch.cat([span[index].flatten() for span in self._network.spans(numbers, len(self._plans))])


class Sum:
    """What parts of a batch come to, added up in one vector, so that processes can add theirs at once.

    `gradients` are as the parameters lie, `buffers` the mean of what the parts made of them, and `losses` (K,) summed.
    """

    def __init__(self, network: Architecture, members: int, like: Tensor) -> None:
        self.numbers = torch.zeros(len(like) + members, dtype=like.dtype, device=like.device)
        blocks, self.losses = torch.split(self.numbers, [len(like), members])
        spans, learnt = network.spans(blocks, members), sum(block.role != "buffer" for block in network.blocks)
        self.gradients, self.buffers = spans[:learnt], spans[learnt:]

    def add(self, gradients: Sequence[Tensor], losses: Tensor, buffers: Sequence[Tensor], share: float) -> None:
        """Add a part that is so large a share of the batch."""
        self.losses += losses
        for total, gradient in zip(self.gradients, gradients, strict=True):
            total += gradient
        for mean, buffer in zip(self.buffers, buffers, strict=True):
            mean.add_(buffer, alpha=share)


@dataclass(frozen=True)
class Mark:
    """What a forward pass moves: the generators, whose states these are, and the buffers."""

    draws: list[Tensor]
    buffers: list[Tensor]


def _copy(own: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    for one, other in zip(own, others, strict=True):
        one.copy_(other)


def _voices_loss(logits: Tensor, targets: Tensor, terms: StackedTerms) -> Tensor:
    """Return each example's loss (K, N), the mean over the E voices of logits (K, E, N, C), for targets (G, N)."""
    members, voices, rows, classes = logits.shape
    targets = stacked(targets, members)
    if voices == 1:
        return example_loss(logits[:, 0], targets, terms)
    targets = targets[:, None].expand(-1, voices, -1).reshape(members, -1)
    return example_loss(logits.reshape(members, -1, classes), targets, terms).view(members, voices, rows).mean(dim=1)


def _clip(gradients: Sequence[Tensor]) -> None:
    """Shorten each member's gradient, in blocks (K, n), to `CLIP_NORM`."""
    # Summed along a member's own numbers: along the stack, what is added first would depend on who else is there.
    norms = torch.stack([torch.linalg.vector_norm(block, dim=1) for block in gradients], dim=1).norm(dim=1)
    factors = (CLIP_NORM / (norms + 1e-6)).clamp_max_(1.0)[:, None]
    for block in gradients:
        block.mul_(factors)


@dataclass(frozen=True)
class _AdamW:
    """Parts of some blocks with one learning rate and decay, for the fused AdamW: its state is the two moments and the steps done."""

    learning_rate: float
    weight_decay: float
    parameters: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]

    def step(self, gradients: list[Tensor], rate: Number) -> None:
        # The function and not the class: the class spends as long on its bookkeeping as a small network does on its gradients.
        with torch.no_grad():
            adamw(
                self.parameters,
                gradients,
                self.means,
                self.squares,
                [],
                self.steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.learning_rate * rate,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )


_OPTIMIZERS: dict[Optimizer, type[_AdamW | Momentum]] = {"adamw": _AdamW, "sgd": Momentum}


@dataclass(frozen=True)
class _Group:
    """Members that learn alike, and the blocks of theirs that an optimiser takes."""

    places: range
    blocks: range
    optimizer: _AdamW | Momentum

    def step(self, gradients: Sequence[Tensor], rate: Number) -> None:
        """Take a step down the gradients, one (K, n) for each block."""
        self.optimizer.step([_part(gradients[block], self.places) for block in self.blocks], rate)


def _groups(plans: Sequence[Plan], network: Architecture, numbers: Sequence[Tensor], steps: int) -> list[_Group]:
    """Return the groups of the optimiser: the weights of members alike, and their biases, which do not decay; buffers are in none."""
    roles = [block.role for block in network.blocks]
    spans = [network.spans(each, len(plans)) for each in numbers]
    found = []
    for role in ("weight", "bias"):
        blocks = [index for index, each in enumerate(roles) if each == role]
        settings = [(plan.learning_rate, plan.weight_decay if role == "weight" else 0.0) for plan in plans]
        for places in _alike(settings) if blocks else []:
            parameters, means, squares = ([_part(of[block], places) for block in blocks] for of in spans)
            done = [torch.tensor(float(steps), device=numbers[0].device) for _ in blocks]
            optimizer = _OPTIMIZERS[plans[0].optimizer](*settings[places.start], parameters, means, squares, done)
            found.append(_Group(places, range(blocks[0], blocks[-1] + 1), optimizer))
    return found


@dataclass(frozen=True)
class _Averager:
    """Parts of the averages and of the parameters that they follow at one pace."""

    decay: float
    averages: list[Tensor]
    parameters: list[Tensor]

    def step(self, number: Number) -> None:
        # A young average forgets its start fast: at step t it looks back over t / 10 steps, not over 1 / (1 - ema).
        young = (1 + number) / (10 + number)
        weight = 1 - (young.clamp(max=self.decay) if isinstance(young, Tensor) else min(self.decay, young))
        for average, parameters in zip(self.averages, self.parameters, strict=True):
            average.lerp_(parameters, weight)


def _averagers(plans: Sequence[Plan], network: Architecture, averages: Tensor, parameters: Tensor) -> list[_Averager]:
    paces = _alike([plan.ema for plan in plans])
    if len(paces) == 1:
        return [_Averager(plans[0].ema, [averages], [parameters])]
    spans = [network.spans(numbers, len(plans)) for numbers in (averages, parameters)]
    return [_Averager(plans[places.start].ema, *([_part(span, places) for span in of] for of in spans)) for places in paces]


def _alike(values: Sequence[object]) -> list[range]:
    """Return the runs of places whose values are equal."""
    starts = [place for place, value in enumerate(values) if place == 0 or value != values[place - 1]]
    return [range(start, end) for start, end in pairwise([*starts, len(values)])]


def _part(span: Tensor, places: range) -> Tensor:
    """Return the members' part of a block (K, n), which is a multiple of 16 numbers long where the block is padded: the fused kernels
    then cut a member's numbers alike wherever it stands in the stack."""
    return span[places.start : places.stop] if len(places) < len(span) else span
