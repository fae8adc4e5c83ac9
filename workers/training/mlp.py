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
from workers.training.networks import Architecture, Block, Blocks, kept, padded

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

    @cached_property
    def columns(self) -> int:
        """Return how many inputs the first layer has, embedding and padding included."""
        return padded(self.inputs + self.pieces)

    @property
    def floats_a_row(self) -> int:
        return max(self.columns, self.classes, *self.hidden)

    def own_blocks(self) -> list[Block]:
        sizes = list(enumerate(pairwise([self.columns, *self.hidden, self.classes])))
        weights = [Block(f"layer{layer}.weight", (after, before)) for layer, (before, after) in sizes]
        biased = sizes[:-1] if self.cosine else sizes
        return [*weights, *(Block(f"layer{layer}.bias", (after, 1), "bias") for layer, (_, after) in biased)]

    def draw(self, blocks: Blocks, bias: Sequence[float], generator: torch.Generator) -> None:
        """Start the head with zero weights and the given bias; a cosine head with one direction for all classes: it is undecided.

        The embedding starts at zero beside the plain columns: drawn at random it does harm on tables where it is of no use.
        """
        for layer in range(self.head):
            weight = blocks[f"layer{layer}.weight"]
            weight = weight[:, : self.inputs] if layer == 0 else weight
            bound = 1 / math.sqrt(weight.shape[1])
            weight.uniform_(-bound, bound, generator=generator)
            blocks[f"layer{layer}.bias"].uniform_(-bound, bound, generator=generator)
        if self.cosine:
            classes = blocks[f"layer{self.head}.weight"]
            bound = 1 / math.sqrt(classes.shape[1])
            classes.copy_(torch.empty_like(classes[:1]).uniform_(-bound, bound, generator=generator))
        else:
            blocks[f"layer{self.head}.bias"][:, 0] = torch.tensor(bias, dtype=torch.float64)

    def embedded(self, features: Tensor) -> Tensor:
        """Return features (N, inputs) with the pieces of their numbers beside them, (N, columns)."""
        parts = [features, self._pieces_as(features).embed(features)] if self.pieces else [features]
        return F.pad(torch.cat(parts, dim=1), (0, self.columns - self.inputs - self.pieces))

    def outputs(self, blocks: Blocks, inputs: Tensor, draws: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return logits (K, 1, N, C)."""
        weights = [blocks[f"layer{layer}.weight"] for layer in range(self.head + 1)]
        biases = [blocks[f"layer{layer}.bias"] for layer in range(self.head + (not self.cosine))]
        return perceptrons(weights, biases, inputs, self.dropout, draws)[:, None]

    def _pieces_as(self, features: Tensor) -> Pieces:
        """Return the pieces on the device and with the precision of the features."""
        key = (features.dtype, features.device)
        if key not in self._made:
            self._made[key] = Pieces.of(self.edges, *key)
        return self._made[key]

    @cached_property
    def _made(self) -> dict[tuple[torch.dtype, torch.device], Pieces]:
        return {}


def perceptrons(
    weights: Sequence[Tensor], biases: Sequence[Tensor], inputs: Tensor, dropout: float, draws: Sequence[torch.Generator] | None
) -> Tensor:
    """Return logits (K, N, C) of layers of ReLUs with weights (K, after, before) and biases (K, after, 1) on inputs (G, N, before).

    A head without biases gives cosines. `draws` are for dropout while training, each for a part of the K.
    """
    rows = inputs.shape[1]
    # Everything lies feature by feature, (K, features, N): no product then has a narrow side, and members with the same rows share
    # the first product. Padded rows let each member's numbers begin alike, so that it gets the same digits wherever it stands.
    spare = padded(rows) - rows
    hidden = (F.pad(inputs, (0, 0, 0, spare)) if spare else inputs).transpose(1, 2)
    *inner, head = weights
    for weight, bias in zip(inner, biases, strict=False):
        hidden = _Hidden.apply(weight, bias, hidden)  # type: ignore[no-untyped-call]
        if draws is not None and dropout > 0:
            hidden = hidden * kept(hidden, dropout, draws)
    is_cosine = len(biases) == len(inner)
    outputs = cosines(head, hidden) if is_cosine else _product(head, hidden) + biases[-1]
    return (outputs[..., :rows] if spare else outputs).transpose(1, 2)


class _Hidden(torch.autograd.Function):
    """relu(weight @ hidden + bias), with few passes over memory: autograd would copy what is changed in place."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, hidden: Tensor) -> Tensor:
        # All in the numbers that products are made in here, and cast once: sums of two kinds would copy all outputs to the wider one and
        # back, and the backward pass, which is outside of that, takes the same numbers.
        weight, bias, hidden = _as_multiplied(weight, bias, hidden)
        outputs = _product(weight, hidden).add_(bias).relu_()
        ctx.save_for_backward(weight, hidden, outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        weight, hidden, outputs = ctx.saved_tensors
        # Made by the layer above for this one alone, so that it can be changed in place.
        gradient = torch.ops.aten.threshold_backward.grad_input(gradients[0], outputs, 0, grad_input=gradients[0])
        sets, rows = len(hidden), gradient.shape[2]
        together, of_bias = gradient.reshape(sets, -1, rows), gradient.sum(2, keepdim=True)
        of_hidden = torch.bmm(weight.reshape(sets, -1, weight.shape[2]).transpose(1, 2), together) if ctx.needs_input_grad[2] else None
        return torch.bmm(together, hidden.transpose(1, 2)).view(weight.shape), of_bias, of_hidden


def _as_multiplied(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return tensors in the numbers that products of them are made in: rounded where autocast is on, which leaves float64 alone."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device) or tensors[0].dtype == torch.float64:
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors)


def _product(weight: Tensor, hidden: Tensor) -> Tensor:
    """Return weight (K, after, before) @ hidden (G, before, N) for each member, (K, after, N)."""
    members, after, before = weight.shape
    sets = len(hidden)
    if sets == members:
        return torch.bmm(weight, hidden)
    return torch.bmm(weight.reshape(sets, -1, before), hidden).view(members, after, -1)


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
        # The bias is added and not handed to the product, which would round it where products are rounded.
        return (torch.bmm(weight.transpose(1, 2), hidden.transpose(1, 2)) + bias.transpose(1, 2)).transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, Tensor, Tensor]:
        gradient: Tensor = gradients[0]
        hidden, weight = (saved.to(gradient.dtype) for saved in ctx.saved_tensors)
        of_weight = torch.bmm(gradient.transpose(1, 2), hidden).transpose(1, 2)
        return gradient.sum(1, keepdim=True), torch.bmm(gradient, weight.transpose(1, 2)), of_weight


def cosines(head: Tensor, features: Tensor) -> Tensor:
    """Return the cosines (K, C, N) of features (K, F, N) and weights (K, C, F), not rounded ever: a loss may scale them up."""
    with torch.autocast(features.device.type, enabled=False):
        return torch.bmm(directions(head, 2), directions(features.to(head.dtype), 1))


def directions(vectors: Tensor, dim: int) -> Tensor:
    """Return the vectors along `dim` at length 1; the zero vector stays, with a finite gradient."""
    return vectors * (vectors.square().sum(dim, keepdim=True) + _SHORTEST).rsqrt()
