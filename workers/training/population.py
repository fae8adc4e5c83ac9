"""K networks trained by one program: one matrix of parameters, one fused optimiser, nothing of one member in another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from counterweight.contracts.jobs import EarlyStopping
from counterweight.contracts.losses import LossTerms
from workers.training.loss import StackedTerms, example_loss
from workers.training.networks import Pieces, Shape, forward

CLIP_NORM = 1.0


@dataclass(frozen=True)
class Plan:
    """How one member trains; `positive` is the class its average precision is about (None: the mean over all classes)."""

    terms: LossTerms
    bias: tuple[float, ...]
    learning_rate: float
    weight_decay: float
    ema: float
    seed: int
    stopping: EarlyStopping | None
    positive: int | None


def derived_seed(seed: int, purpose: int) -> int:
    """Return a seed for one purpose, so that the order of batches does not hang together with the initial weights."""
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1, np.uint64)[0] >> 1)


class Population:
    """The members still in the stack; row k of every matrix is member k's."""

    def __init__(self, shape: Shape, plans: Sequence[Plan], parameters: Tensor, dropout: Sequence[torch.Generator]) -> None:
        self._shape = shape
        self._steps = 0
        self._settle(plans, parameters, dropout)
        self.averages = parameters.clone()

    def _settle(self, plans: Sequence[Plan], parameters: Tensor, dropout: Sequence[torch.Generator]) -> None:
        self._plans, self._dropout = list(plans), list(dropout)
        self._parameters = parameters.clone().requires_grad_()
        self._gradients = torch.zeros_like(parameters)
        self._parameters.grad = self._gradients
        self._terms = StackedTerms.of([plan.terms for plan in plans], parameters.dtype, parameters.device)
        self._ema = torch.tensor([[plan.ema] for plan in plans], dtype=parameters.dtype, device=parameters.device)
        # The optimiser sees each member's weights and biases as tensors of their own, which are views of the matrix: members differ in
        # learning rate and decay, and the fused kernel cuts a member's numbers alike wherever it stands in the stack.
        self._parts = [
            (row[: self._shape.decayed], row[self._shape.decayed :]) for row in self._parameters.detach().unbind()
        ]
        for (weights, biases), gradient in zip(self._parts, self._gradients.unbind(), strict=True):
            weights.grad, biases.grad = gradient[: self._shape.decayed], gradient[self._shape.decayed :]
        self._optimizer = _optimizer(plans, self._parts)

    def step(self, features: Tensor, targets: Tensor, pieces: Pieces | None, rate: float) -> Tensor:
        """Take one optimiser step at `rate` times each member's learning rate; return the summed loss of each member (K,)."""
        self._gradients.zero_()
        logits = forward(self._shape, self._parameters, features, pieces, self._dropout)
        sums = example_loss(logits, targets, self._terms).sum(dim=1)
        (sums.sum() / targets.shape[-1]).backward()
        norms = self._gradients.norm(dim=1, keepdim=True)
        self._gradients.mul_((CLIP_NORM / (norms + 1e-6)).clamp(max=1.0))
        for group in self._optimizer.param_groups:
            group["lr"] = group["full_rate"] * rate
        self._optimizer.step()
        self._steps += 1
        # A young average forgets its start fast: at step t it looks back over t / 10 steps, not over 1 / (1 - ema).
        decay = self._ema.clamp(max=(1 + self._steps) / (10 + self._steps))
        self.averages.lerp_(self._parameters.detach(), 1 - decay)
        return sums.detach()

    def keep(self, places: Sequence[int]) -> None:
        """Drop all members but those at `places`; these go on as if nothing had happened."""
        states = [[self._optimizer.state[part] for part in self._parts[place]] for place in places]
        index = torch.tensor(places, device=self.averages.device)
        self.averages = self.averages[index]
        self._settle(
            [self._plans[place] for place in places], self._parameters.detach()[index], [self._dropout[place] for place in places]
        )
        for parts, kept in zip(self._parts, states, strict=True):
            for part, state in zip(parts, kept, strict=True):
                self._optimizer.state[part] = state


def _optimizer(plans: Sequence[Plan], parts: Sequence[tuple[Tensor, Tensor]]) -> torch.optim.AdamW:
    """Return one fused AdamW with a group for each learning rate and decay; biases do not decay."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for plan, (weights, biases) in zip(plans, parts, strict=True):
        groups.setdefault((plan.learning_rate, plan.weight_decay), []).append(weights)
        groups.setdefault((plan.learning_rate, 0.0), []).append(biases)
    return torch.optim.AdamW(
        [{"params": params, "lr": rate, "full_rate": rate, "weight_decay": decay} for (rate, decay), params in groups.items()], fused=True
    )
