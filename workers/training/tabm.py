"""TabM: perceptrons that share their weights and differ by factors on inputs and outputs. Gorishniy et al., 2024, arXiv:2410.24210."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.training.embedding import Grid
from workers.training.mlp import perceptrons
from workers.training.networks import Architecture, Block, Blocks, padded, stacked


@dataclass(frozen=True)
class TabmNetwork(Architecture):
    """Layers of ReLUs spoken with `voices`: layer l of voice e is ReLU(out_e * (W_l (in_e * x)) + bias_e), and each has its own head.

    Where `edges` cut the numeric columns, the first of the inputs, each of them enters as `width` learnt numbers: linear in it at
    first, and piecewise linear as training goes on (the paper's embedding of version B). With a `cosine` head the logits are cosines
    between the last features and each class's weights, and the heads have no bias.
    """

    inputs: int
    hidden: tuple[int, ...]
    voices: int
    dropout: float = 0.0
    edges: tuple[tuple[float, ...], ...] = ()
    width: int = 8
    cosine: bool = False
    kind: Literal["tabm"] = "tabm"

    @property
    def numbers(self) -> int:
        """Return how many inputs are embedded."""
        return len(self.edges)

    @property
    def floats_a_row(self) -> int:
        return self.voices * max(*self._sizes, self.classes)

    @property
    def _sizes(self) -> list[int]:
        """Return how wide the first layer's inputs, with padding, and each hidden layer is."""
        return [padded(self.columns), *self.hidden]

    @property
    def columns(self) -> int:
        """Return how many numbers a row comes to once its own are embedded."""
        return self.inputs - self.numbers + self.numbers * self.width

    def own_blocks(self) -> list[Block]:
        blocks = [Block("head.weight", (self.voices, self.classes, self.hidden[-1]))]
        if not self.cosine:
            blocks.append(Block("head.bias", (self.voices, self.classes, 1), "bias"))
        for layer, (before, after) in enumerate(pairwise(self._sizes)):
            blocks += [
                Block(f"layer{layer}.weight", (1, after, before)),
                # What tells the voices apart does not decay: at 0 it would silence them.
                Block(f"layer{layer}.in", (self.voices, 1, before), "bias"),
                Block(f"layer{layer}.out", (self.voices, after, 1), "bias"),
                Block(f"layer{layer}.bias", (self.voices, after, 1), "bias"),
            ]
        if self.numbers:
            blocks += [
                Block("numbers.weight", (self.numbers, 1, self.width)),
                Block("numbers.pieces", (self.numbers, self._most_pieces, self.width)),
                Block("numbers.bias", (self.numbers, 1, self.width), "bias"),
            ]
        return blocks

    def draw(self, blocks: Blocks, bias: Sequence[float], generator: torch.Generator) -> None:
        """Start all voices alike but for their factors on the inputs, one for each column of the table, with undecided heads."""

        def uniform(name: str, fan_in: int) -> Tensor:
            bound = 1 / math.sqrt(fan_in)
            return blocks[name].uniform_(-bound, bound, generator=generator)

        for layer, size in enumerate([self.columns, *self.hidden[:-1]]):
            uniform(f"layer{layer}.weight", size)
            blocks[f"layer{layer}.bias"].copy_(uniform(f"layer{layer}.bias", size)[:1].clone())
            blocks[f"layer{layer}.in"].fill_(1)
            blocks[f"layer{layer}.out"].fill_(1)
        if self.numbers:
            uniform("numbers.weight", self.width)
            uniform("numbers.bias", self.width)
        factors = torch.empty(self.voices, 1, self.inputs, dtype=torch.float64)
        # As the paper has it: signs for plain columns, normal numbers where some are embedded.
        factors = factors.normal_(generator=generator) if self.numbers else factors.bernoulli_(generator=generator).mul_(2).sub_(1)
        of_numbers, others = factors.tensor_split([self.numbers], dim=-1)
        blocks["layer0.in"][..., : self.columns] = torch.cat([of_numbers.repeat_interleave(self.width, dim=-1), others], dim=-1)
        if self.cosine:
            blocks["head.weight"].copy_(uniform("head.weight", self.hidden[-1])[:, :1].clone())
        else:
            blocks["head.bias"].copy_(torch.tensor(bias, dtype=torch.float64)[:, None])

    def embedded(self, features: Tensor) -> Tensor:
        """Return features (N, inputs) and beside them how far each number is through each of its pieces, (N, inputs + numbers * pieces)."""
        if not self.numbers:
            return features
        return torch.cat([features, self._grid_as(features).embed(features[:, : self.numbers]).flatten(1)], dim=1)

    def outputs(self, blocks: Blocks, inputs: Tensor, draws: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return logits (K, E, N, C)."""
        members = len(blocks["head.weight"])
        layers = range(len(self.hidden))
        # Factors on what goes in and what comes out are factors on the weights: each voice is a perceptron of its own. Multiplied
        # into the weights they cost a fraction of what they would cost on every row.
        weights = [blocks[f"layer{layer}.weight"] * blocks[f"layer{layer}.in"] * blocks[f"layer{layer}.out"] for layer in layers]
        biases = [blocks[f"layer{layer}.bias"] for layer in layers] + ([] if self.cosine else [blocks["head.bias"]])
        weights, biases = ([each.flatten(0, 1) for each in parts] for parts in ([*weights, blocks["head.weight"]], biases))
        logits = perceptrons(weights, biases, self._first(blocks, inputs), self.dropout, draws)
        return logits.view(members, self.voices, *logits.shape[1:])

    def one_voice(self, logits: Tensor) -> Tensor:
        """Return the mean prediction; of cosines the mean, for it is the loss that knows how sure a cosine is meant to be."""
        return logits.mean(dim=1) if self.cosine else super().one_voice(logits)

    def _first(self, blocks: Blocks, inputs: Tensor) -> Tensor:
        """Return what all voices' first layers see of embedded inputs (G, N, …): (K, N, columns) with padding."""
        parts = [inputs]
        if self.numbers:
            inputs = stacked(inputs, len(blocks["head.weight"]))
            numbers, flags, rises = inputs.tensor_split([self.numbers, self.inputs], dim=-1)
            # (K, numbers, N, pieces) times (K, numbers, pieces, width)
            pieces = torch.matmul(rises.reshape(*rises.shape[:2], self.numbers, -1).transpose(1, 2), blocks["numbers.pieces"])
            plain = torch.addcmul(blocks["numbers.bias"], numbers.transpose(1, 2)[..., None], blocks["numbers.weight"])
            parts = [(plain + pieces).transpose(1, 2).flatten(2), flags]
        return F.pad(torch.cat(parts, dim=-1), (0, self._sizes[0] - self.columns))

    @cached_property
    def _most_pieces(self) -> int:
        return max(max(0, len(cuts) - 1) for cuts in self.edges)

    def _grid_as(self, features: Tensor) -> Grid:
        """Return the pieces on the device and with the precision of the features."""
        key = (features.dtype, features.device)
        if key not in self._made:
            self._made[key] = Grid.of(self.edges, *key)
        return self._made[key]

    @cached_property
    def _made(self) -> dict[tuple[torch.dtype, torch.device], Grid]:
        return {}
