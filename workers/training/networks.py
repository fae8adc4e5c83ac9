"""What a network is to the training loop: a function of named blocks of numbers, of K members at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

_ALIGNED = 16
"""Every block of a row starts at a multiple of this many floats, so that vector instructions cut all members' blocks alike."""


def padded(size: int) -> int:
    """Return the next multiple of 16."""
    return -(-size // _ALIGNED) * _ALIGNED


Role = Literal["weight", "bias", "buffer"]
_ROLES: tuple[Role, ...] = ("weight", "bias", "buffer")
Blocks = Mapping[str, Tensor]
"""The members' blocks by name, each (K, *shape)."""


@dataclass(frozen=True)
class Block:
    """A tensor of this shape in a row of parameters; `padded` floats are set aside for it.

    Weights decay and biases do not. A buffer gets no gradient: `forward` itself moves it in place while training, for example to keep
    running statistics; like every block it is averaged over steps for validation, and exported.
    """

    name: str
    shape: tuple[int, ...]
    role: Role = "weight"

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def padded(self) -> int:
        return padded(self.size)


@dataclass(frozen=True)
class Architecture:
    """A kind of network and its sizes: all that members of a cohort share, and what an exported model is described by.

    A row of parameters holds all weights, then all biases, then all buffers: the optimiser takes its first `trained` floats, and decays
    the first `decayed`.
    """

    classes: int

    def own_blocks(self) -> list[Block]:
        """Return the blocks of a row, in any order."""
        raise NotImplementedError

    def draw(self, blocks: Blocks, bias: Sequence[float], generator: torch.Generator) -> None:
        """Fill the blocks of one new member, (*shape) each and all zero; its first prediction is to be the constant one of `bias` (C)."""
        raise NotImplementedError

    def embedded(self, features: Tensor) -> Tensor:
        """Return features (N, …) as the first weights see them: a step of its own, done once for all epochs where that fits into memory."""
        return features

    def outputs(self, blocks: Blocks, inputs: Tensor, draws: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return logits (K, E, N, C) of embedded `inputs` (G, N, …): one set of them for each of E voices.

        The members' G-th parts, in order, share a set of rows: all of them with G = 1, none with G = K. `draws` holds a generator for
        each member while training: a member then draws (dropout, augmentation) what it would draw alone.
        """
        raise NotImplementedError

    def forward(self, blocks: Blocks, features: Tensor, draws: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return logits (K, E, N, C) of features (N, …) that all members share."""
        return self.outputs(blocks, self.embedded(features)[None], draws)

    def one_voice(self, logits: Tensor) -> Tensor:
        """Return the logits (K, N, C) of the mean of what E voices (K, E, N, C) hold for probable."""
        if logits.shape[1] == 1:
            return logits[:, 0]
        return logits.log_softmax(-1).logsumexp(1) - math.log(logits.shape[1])

    @property
    def floats_a_row(self) -> int:
        """Return how many numbers one row of the table takes in the widest layer of one member."""
        raise NotImplementedError

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        return tuple(sorted(self.own_blocks(), key=lambda block: _ROLES.index(block.role)))

    @cached_property
    def decayed(self) -> int:
        return sum(block.padded for block in self.blocks if block.role == "weight")

    @cached_property
    def trained(self) -> int:
        return sum(block.padded for block in self.blocks if block.role != "buffer")

    @cached_property
    def parameters(self) -> int:
        return sum(block.padded for block in self.blocks)

    def views(self, parameters: Tensor) -> dict[str, Tensor]:
        """Return each block of the rows (K, parameters) as (K, *shape), by name."""
        pieces = torch.split(parameters, [block.padded for block in self.blocks], dim=1)
        return {block.name: _shaped(piece, block) for block, piece in zip(self.blocks, pieces, strict=True)}

    def spans(self, numbers: Tensor, members: int) -> list[Tensor]:
        """Return the blocks of K members' numbers that are laid out block after block, each (K, padded) and contiguous."""
        sizes = [members * block.padded for block in self.blocks]
        return [span.view(members, -1) for span in torch.split(numbers, sizes)]

    def blocks_of(self, numbers: Tensor, members: int) -> dict[str, Tensor]:
        """Return each block of numbers that are laid out block after block as (K, *shape), by name."""
        return {block.name: _shaped(span, block) for block, span in zip(self.blocks, self.spans(numbers, members), strict=True)}

    def initial(self, seeds: Sequence[int], biases: Sequence[Sequence[float]]) -> Tensor:
        """Return rows (K, parameters) in float64, each drawn from its own seed alone."""
        rows = torch.zeros(len(seeds), self.parameters, dtype=torch.float64)
        for row, seed, bias in zip(rows, seeds, biases, strict=True):
            blocks = {name: view[0] for name, view in self.views(row[None]).items()}
            self.draw(blocks, bias, torch.Generator().manual_seed(seed))
        return rows


def stacked(inputs: Tensor, members: int) -> Tensor:
    """Return inputs (K, N, …) for each member from those (G, N, …) of each G-th part, without a copy where all share them."""
    sets = len(inputs)
    if sets in (1, members):
        return inputs.expand(members, *inputs.shape[1:])
    return inputs.repeat_interleave(members // sets, dim=0)


def _shaped(piece: Tensor, block: Block) -> Tensor:
    return piece[:, : block.size].view(-1, *block.shape)


def kept(hidden: Tensor, dropout: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return a mask like `hidden` of 0 and 1 / (1 - dropout), each K-th part of it drawn by another generator."""
    size = (len(hidden) // len(generators), *hidden.shape[1:])
    draws = [torch.rand(size, generator=generator, device=hidden.device) for generator in generators]
    return (torch.cat(draws) >= dropout).to(hidden.dtype) / (1 - dropout)
