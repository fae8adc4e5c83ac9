"""K networks trained by one program: one matrix of parameters, one fused optimiser, nothing of one member in another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.optim.adamw import adamw

from counterweight.contracts.jobs import EarlyStopping, Optimizer
from counterweight.contracts.terms import LossTerms
from workers.training.loss import StackedTerms, example_loss
from workers.training.momentum import Momentum
from workers.training.networks import Architecture

CLIP_NORM = 1.0


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


def derived_seed(seed: int, purpose: int) -> int:
    """Return a seed for one purpose, so that the order of batches does not hang together with the initial weights."""
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)[0] >> 1)


class Population:
    """The members still in the stack; row k of every matrix is member k's.

    `averages` (K, parameters) are the moving averages of the parameters, which are what is validated and kept; `terms` are those in
    force.
    """

    def __init__(self, network: Architecture, plans: Sequence[Plan], parameters: Tensor, draws: Sequence[torch.Generator]) -> None:
        self._network = network
        self._steps = 0
        self.averages = parameters.clone()
        terms = [plan.terms for plan in plans]
        self._settle(plans, terms, draws, parameters.clone(), torch.zeros_like(parameters), torch.zeros_like(parameters))

    def _settle(
        self,
        plans: Sequence[Plan],
        terms: Sequence[LossTerms],
        draws: Sequence[torch.Generator],
        parameters: Tensor,
        means: Tensor,
        squares: Tensor,
    ) -> None:
        self._plans, self._draws = list(plans), list(draws)
        self._parameters, self._means, self._squares = parameters, means, squares
        self._gradients = torch.zeros_like(parameters)
        # Leaves that share the matrix's memory: the graph sees single weights and biases, everything after it one matrix.
        # By `data`, which has a version of its own: a network may move its buffers between its forward and its backward pass.
        self._blocks = {name: block.data for name, block in self._network.views(parameters).items()}
        learnt = [block.name for block in self._network.blocks if block.role != "buffer"]
        self._leaves = [self._blocks[name].requires_grad_() for name in learnt]
        of_gradients = self._network.views(self._gradients)
        self._leaf_gradients = [of_gradients[name] for name in learnt]
        self.use(terms)
        self._ema = torch.tensor([[plan.ema] for plan in plans], dtype=parameters.dtype, device=parameters.device)
        # The recipes of SGD know no clipping: with its large steps it would be at work all the time.
        self._clips = plans[0].optimizer != "sgd"
        self._groups = _groups(plans, self._network, (parameters, self._gradients, means, squares), self._steps)

    def step(self, features: Tensor, targets: Tensor, rate: float, weights: Tensor | None = None) -> Tensor:
        """Take one optimiser step at `rate` times each member's learning rate; return the summed loss of each member (K,).

        `weights` (N,) or (K, N) tell how much each example's loss counts; their mean over all training rows is 1.
        The loss of a member of several voices is the mean of theirs: each learns for itself.
        """
        logits = self._network.forward(self._blocks, features, self._draws)
        losses = _voices_loss(logits, targets, self._stacked)
        sums = (losses if weights is None else losses * weights).sum(dim=1)
        gradients = torch.autograd.grad(sums.sum() / targets.shape[-1], self._leaves)
        for block, gradient in zip(self._leaf_gradients, gradients, strict=True):
            block.copy_(gradient)
        if self._clips:
            norms = self._gradients.norm(dim=1, keepdim=True)
            self._gradients.mul_((CLIP_NORM / (norms + 1e-6)).clamp_max(1.0))
        for group in self._groups:
            group.step(rate)
        self._steps += 1
        # A young average forgets its start fast: at step t it looks back over t / 10 steps, not over 1 / (1 - ema).
        decay = self._ema.clamp_max((1 + self._steps) / (10 + self._steps))
        self.averages.lerp_(self._parameters, 1 - decay)
        return sums.detach()

    def use(self, terms: Sequence[LossTerms]) -> None:
        """Let each member's loss have these terms from now on."""
        self.terms = list(terms)
        self._stacked = StackedTerms.of(self.terms, self._parameters.dtype, self._parameters.device)

    def keep(self, places: Sequence[int]) -> None:
        """Drop all members but those at `places`; these go on as if nothing had happened."""
        index = torch.tensor(places, device=self.averages.device)
        self.averages = self.averages[index]
        self._settle(
            [self._plans[place] for place in places],
            [self.terms[place] for place in places],
            [self._draws[place] for place in places],
            self._parameters[index],
            self._means[index],
            self._squares[index],
        )


def _voices_loss(logits: Tensor, targets: Tensor, terms: StackedTerms) -> Tensor:
    """Return each example's loss (K, N), the mean over the E voices of logits (K, E, N, C)."""
    members, voices, rows, classes = logits.shape
    targets = targets.expand(members, rows)[:, None].expand(-1, voices, -1).reshape(members, -1)
    return example_loss(logits.reshape(members, -1, classes), targets, terms).view(members, voices, rows).mean(dim=1)


@dataclass(frozen=True)
class _Group:
    """Parts of rows with one learning rate and decay, for the fused AdamW (its state is the two moments and the steps done)."""

    learning_rate: float
    weight_decay: float
    parameters: list[Tensor]
    gradients: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]

    def step(self, rate: float) -> None:
        # The function and not the class: the class spends as long on its bookkeeping as a small network does on its gradients.
        with torch.no_grad():
            adamw(
                self.parameters,
                self.gradients,
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


_OPTIMIZERS: dict[Optimizer, type[_Group | Momentum]] = {"adamw": _Group, "sgd": Momentum}


def _groups(
    plans: Sequence[Plan], network: Architecture, matrices: tuple[Tensor, Tensor, Tensor, Tensor], steps: int
) -> list[_Group | Momentum]:
    """Return the groups of the optimiser: a member's weights, and its biases, which do not decay; buffers are in none.

    They are tensors of their own: the fused kernel cuts a member's numbers alike wherever it stands in the stack.
    """
    kind = _OPTIMIZERS[plans[0].optimizer]
    groups: dict[tuple[float, float], _Group | Momentum] = {}
    for place, plan in enumerate(plans):
        for part, decay in ((slice(network.decayed), plan.weight_decay), (slice(network.decayed, network.trained), 0.0)):
            key = (plan.learning_rate, decay)
            group = groups.setdefault(key, kind(*key, [], [], [], [], []))
            fields = (group.parameters, group.gradients, group.means, group.squares)
            for field, matrix in zip(fields, matrices, strict=True):
                field.append(matrix[place, part])
            group.steps.append(torch.tensor(float(steps), device=matrices[0].device))
    return list(groups.values())
