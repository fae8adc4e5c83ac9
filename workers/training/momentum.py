"""Stochastic gradient descent with momentum, for parts of the blocks of a stack."""

from dataclasses import dataclass

import torch
from torch import Tensor

_MOMENTUM = 0.9


@dataclass(frozen=True)
class Momentum:
    """Parts of blocks with one learning rate and decay; their velocities, in `means`, are all that it remembers.

    As `torch.optim.SGD` with momentum 0.9 and without Nesterov's look ahead. Multiplied and added one after the other, so that a number
    comes out the same wherever in a vector register it stands.
    """

    learning_rate: float
    weight_decay: float
    parameters: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]

    @torch.no_grad()
    def step(self, gradients: list[Tensor], rate: float | Tensor) -> None:
        torch._foreach_mul_(self.means, _MOMENTUM)
        torch._foreach_add_(self.means, gradients)
        if self.weight_decay:
            torch._foreach_add_(self.means, torch._foreach_mul(self.parameters, self.weight_decay))
        torch._foreach_sub_(self.parameters, torch._foreach_mul(self.means, self.learning_rate * rate))
