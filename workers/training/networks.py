"""Networks as plain functions of one parameter matrix: row k holds every weight and bias of member k."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from counterweight.contracts.learners import Linear, Mlp

_BLOCK = 16
"""Every block of a row starts at a multiple of this many floats, so that vector instructions cut all members' blocks alike."""
_SHORTEST = 1e-12
"""Added to squared lengths before dividing by them."""


@dataclass(frozen=True)
class Block:
    """One weight (inputs, outputs) or bias (1, outputs) in a row of parameters; `padded` floats are set aside for it."""

    name: str
    inputs: int
    outputs: int

    @property
    def size(self) -> int:
        return self.inputs * self.outputs

    @property
    def padded(self) -> int:
        return -(-self.size // _BLOCK) * _BLOCK


@dataclass(frozen=True)
class Shape:
    """What networks of one cohort have in common. `pieces` is the width of the piecewise-linear embedding, 0 for none.

    With a `cosine` head the logits are cosines between the last features and each class's weights, and the head has no bias.
    """

    inputs: int
    classes: int
    hidden: tuple[int, ...]
    dropout: float = 0.0
    pieces: int = 0
    cosine: bool = False

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Return all weights, then all biases: weight decay takes the first `decayed` floats of a row."""
        sizes = [self.inputs, *self.hidden, self.classes]
        weights = [Block(f"layer{i}.weight", sizes[i], sizes[i + 1]) for i in range(len(sizes) - 1)]
        if self.pieces:
            weights.append(Block("pieces.weight", self.pieces, sizes[1]))
        biased = self.layers - 1 if self.cosine else self.layers
        return (*weights, *(Block(f"layer{i}.bias", 1, sizes[i + 1]) for i in range(biased)))

    @property
    def layers(self) -> int:
        return len(self.hidden) + 1

    @property
    def decayed(self) -> int:
        return sum(block.padded for block in self.blocks if block.name.endswith("weight"))

    @property
    def parameters(self) -> int:
        return sum(block.padded for block in self.blocks)

    def views(self, parameters: Tensor) -> dict[str, Tensor]:
        """Return each block of the rows (K, parameters) as (K, inputs, outputs), by name."""
        pieces = torch.split(parameters, [block.padded for block in self.blocks], dim=1)
        return {
            block.name: piece[:, : block.size].view(-1, block.inputs, block.outputs)
            for block, piece in zip(self.blocks, pieces, strict=True)
        }


@dataclass(frozen=True)
class Pieces:
    """The piecewise-linear embedding: piece i rises from 0 to 1 while feature `column[i]` goes through its stretch.

    Gorishniy et al., 2022, arXiv:2203.05556.
    """

    column: Tensor
    start: Tensor
    slope: Tensor

    @classmethod
    def of(cls, edges: Sequence[Sequence[float]], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> "Pieces":
        """Return the pieces between the edges of each numeric column; these columns come first among the features."""
        column: list[int] = []
        start: list[float] = []
        slope: list[float] = []
        for index, cuts in enumerate(edges):
            for low, high in pairwise(cuts):
                column.append(index)
                start.append(low)
                slope.append(1 / (high - low))
        return cls(
            torch.tensor(column, dtype=torch.int64, device=device),
            torch.tensor(start, dtype=dtype, device=device),
            torch.tensor(slope, dtype=dtype, device=device),
        )

    def embed(self, features: Tensor) -> Tensor:
        """Return the embedding (..., pieces) of features (..., inputs)."""
        # Step by step and in place: this runs once a batch, and `clamp` with two bounds is ten times as slow on a CPU.
        rise = features.index_select(-1, self.column).sub_(self.start).mul_(self.slope)
        return rise.clamp_min_(0).clamp_max_(1)


def network_shape(learner: Linear | Mlp, inputs: int, edges: Sequence[Sequence[float]], classes: int, cosine: bool = False) -> Shape:
    """Return the shape of a learner's network on these features."""
    if isinstance(learner, Linear):
        if cosine:
            raise ValueError("a cosine head needs features that were learnt: without hidden layers it has only the rows' directions")
        return Shape(inputs, classes, hidden=())
    pieces = 0 if learner.numeric_embedding == "none" else sum(max(0, len(cuts) - 1) for cuts in edges)
    return Shape(inputs, classes, (learner.width,) * learner.depth, learner.dropout, pieces, cosine)


def initial_parameters(shape: Shape, seeds: Sequence[int], biases: Sequence[Sequence[float]]) -> Tensor:
    """Return rows (K, parameters) in float64, each drawn from its own seed alone.

    The head starts with zero weights and the given bias, so that the first predictions are the classes' shares; a cosine head starts
    with one direction for all classes, so that it is undecided. The embedding starts at zero beside the plain columns: drawn at
    random it does harm on tables where it is of no use.
    """
    parameters = torch.zeros(len(seeds), shape.parameters, dtype=torch.float64)
    head = shape.layers - 1
    for row, seed, bias in zip(parameters, seeds, biases, strict=True):
        generator = torch.Generator().manual_seed(seed)
        views = shape.views(row[None])
        for layer in range(head):
            bound = 1 / math.sqrt(views[f"layer{layer}.weight"].shape[1])
            views[f"layer{layer}.weight"].uniform_(-bound, bound, generator=generator)
            views[f"layer{layer}.bias"].uniform_(-bound, bound, generator=generator)
        if shape.cosine:
            classes = views[f"layer{head}.weight"]
            bound = 1 / math.sqrt(classes.shape[1])
            classes.copy_(torch.empty_like(classes[..., :1]).uniform_(-bound, bound, generator=generator))
        else:
            views[f"layer{head}.bias"].copy_(torch.tensor(bias, dtype=torch.float64))
    return parameters


def forward(
    shape: Shape, blocks: Mapping[str, Tensor], features: Tensor, pieces: Pieces, dropout: Sequence[torch.Generator] | None = None
) -> Tensor:
    """Return logits (K, N, C) of features (N, inputs) shared by all members, or (K, N, inputs).

    `blocks` are the members' weights and biases as `Shape.views` names them. `dropout` holds a generator for each member while
    training: a member then draws what it would draw alone.
    """
    members = blocks["layer0.bias"].shape[0]
    hidden = _stacked(features, members)
    for layer in range(shape.layers):
        if shape.cosine and layer == shape.layers - 1:
            return torch.bmm(_directions(hidden, 2), _directions(blocks[f"layer{layer}.weight"], 1))
        if layer == shape.layers - 1 and layer > 0:
            head: Tensor = _Narrow.apply(blocks[f"layer{layer}.bias"], hidden, blocks[f"layer{layer}.weight"])  # type: ignore[no-untyped-call]
            return head
        outputs = torch.baddbmm(blocks[f"layer{layer}.bias"], hidden, blocks[f"layer{layer}.weight"])
        if layer == 0 and shape.pieces:
            outputs = torch.baddbmm(outputs, _stacked(pieces.embed(features), members), blocks["pieces.weight"])
        if layer == shape.layers - 1:
            return outputs
        hidden = F.relu(outputs)
        if dropout is not None and shape.dropout > 0:
            hidden = hidden * _kept(hidden, shape.dropout, dropout)
    raise AssertionError("a network has at least one layer")


class _Narrow(torch.autograd.Function):
    """bias + hidden @ weight for few outputs, in half the time: a CPU multiplies wide by long faster than long by narrow.

    Its gradients are written out, so that the one of `hidden` lies in memory as the layer below reads it: autograd's own would be
    transposed, and that layer's ReLU would take ten times as long over it.
    """

    @staticmethod
    def forward(ctx: Any, bias: Tensor, hidden: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        return torch.baddbmm(bias.transpose(1, 2), weight.transpose(1, 2), hidden.transpose(1, 2)).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor]:
        gradient: Tensor = gradients[0]
        hidden, weight = ctx.saved_tensors
        of_weight = torch.bmm(gradient.transpose(1, 2), hidden).transpose(1, 2)
        return gradient.sum(1, keepdim=True), torch.bmm(gradient, weight.transpose(1, 2)), of_weight


def _directions(vectors: Tensor, dim: int) -> Tensor:
    """Return the vectors along `dim` at length 1; the zero vector stays, with a finite gradient."""
    return vectors * (vectors.square().sum(dim, keepdim=True) + _SHORTEST).rsqrt()


def _stacked(features: Tensor, members: int) -> Tensor:
    return features if features.dim() == 3 else features.expand(members, *features.shape)


def _kept(hidden: Tensor, dropout: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return a mask (K, N, H) of 0 and 1 / (1 - dropout)."""
    size = hidden.shape[1:]
    draws = [torch.rand(size, generator=generator, device=hidden.device) for generator in generators]
    return (torch.stack(draws) >= dropout).to(hidden.dtype) / (1 - dropout)
