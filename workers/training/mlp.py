"""The multilayer perceptron, of which logistic regression is the one without hidden layers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.training.embedding import Pieces, count_pieces
from workers.training.networks import Architecture, Block, Blocks, kept, stacked

_SHORTEST = 1e-12
"""Added to squared lengths before dividing by them."""


@dataclass(frozen=True)
class MlpNetwork(Architecture):
    """Layers of ReLUs. `edges` cut each numeric column, the first of the inputs, into the pieces of its embedding; none without one.

    With a `cosine` head the logits are cosines between the last features and each class's weights, and the head has no bias.
    """

    inputs: int
    hidden: tuple[int, ...]
    dropout: float = 0.0
    edges: tuple[tuple[float, ...], ...] = ()
    cosine: bool = False
    kind: Literal["mlp"] = "mlp"

    @property
    def head(self) -> int:
        """Return the number of the last layer."""
        return len(self.hidden)

    @cached_property
    def pieces(self) -> int:
        return count_pieces(self.edges)

    @property
    def floats_a_row(self) -> int:
        return max(self.inputs, self.pieces, self.classes, *self.hidden, 1)

    def own_blocks(self) -> list[Block]:
        sizes = list(enumerate(pairwise([self.inputs, *self.hidden, self.classes])))
        weights = [Block(f"layer{layer}.weight", size) for layer, size in sizes]
        if self.pieces:
            weights.append(Block("pieces.weight", (self.pieces, sizes[0][1][1])))
        biased = sizes[:-1] if self.cosine else sizes
        return [*weights, *(Block(f"layer{layer}.bias", (1, size[1]), "bias") for layer, size in biased)]

    def draw(self, blocks: Blocks, bias: Sequence[float], generator: torch.Generator) -> None:
        """Start the head with zero weights and the given bias; a cosine head with one direction for all classes: it is undecided.

        The embedding starts at zero beside the plain columns: drawn at random it does harm on tables where it is of no use.
        """
        for layer in range(self.head):
            bound = 1 / math.sqrt(blocks[f"layer{layer}.weight"].shape[0])
            blocks[f"layer{layer}.weight"].uniform_(-bound, bound, generator=generator)
            blocks[f"layer{layer}.bias"].uniform_(-bound, bound, generator=generator)
        if self.cosine:
            classes = blocks[f"layer{self.head}.weight"]
            bound = 1 / math.sqrt(classes.shape[0])
            classes.copy_(torch.empty_like(classes[:, :1]).uniform_(-bound, bound, generator=generator))
        else:
            blocks[f"layer{self.head}.bias"].copy_(torch.tensor(bias, dtype=torch.float64))

    def forward(self, blocks: Blocks, features: Tensor, draws: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return logits (K, 1, N, C)."""
        weights = [blocks[f"layer{layer}.weight"] for layer in range(self.head + 1)]
        hidden = features if features.dim() == 3 else stacked(features, len(weights[0]))
        for layer, weight in enumerate(weights[:-1]):
            outputs = torch.baddbmm(blocks[f"layer{layer}.bias"], hidden, weight)
            if layer == 0 and self.pieces:
                embedded = self._pieces_as(features).embed(features)
                embedded = embedded if embedded.dim() == 3 else stacked(embedded, len(weight))
                outputs = torch.baddbmm(outputs, embedded, blocks["pieces.weight"])
            hidden = F.relu(outputs)
            if draws is not None and self.dropout > 0:
                hidden = hidden * kept(hidden, self.dropout, draws)
        if self.cosine:
            return torch.bmm(directions(hidden, 2), directions(weights[-1], 1))[:, None]
        multiply = narrow if self.hidden else torch.baddbmm
        return multiply(blocks[f"layer{self.head}.bias"], hidden, weights[-1])[:, None]

    def _pieces_as(self, features: Tensor) -> Pieces:
        """Return the pieces on the device and with the precision of the features."""
        key = (features.dtype, features.device)
        if key not in self._made:
            self._made[key] = Pieces.of(self.edges, *key)
        return self._made[key]

    @cached_property
    def _made(self) -> dict[tuple[torch.dtype, torch.device], Pieces]:
        return {}


def narrow(bias: Tensor, hidden: Tensor, weight: Tensor) -> Tensor:
    """Return bias + hidden @ weight for few outputs, in half the time."""
    outputs: Tensor = _Narrow.apply(bias, hidden, weight)  # type: ignore[no-untyped-call]
    return outputs


class _Narrow(torch.autograd.Function):
    """A CPU multiplies wide by long faster than long by narrow.

    The gradients are written out, so that the one of `hidden` lies in memory as the layer below reads it: autograd's own would be
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


def directions(vectors: Tensor, dim: int) -> Tensor:
    """Return the vectors along `dim` at length 1; the zero vector stays, with a finite gradient."""
    return vectors * (vectors.square().sum(dim, keepdim=True) + _SHORTEST).rsqrt()
