"""The residual network for small images, K of them as one of grouped convolutions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.training.augmentation import Augmentation, augmented
from workers.training.mlp import cosines, narrow
from workers.training.networks import Architecture, Block, Blocks, stacked

_MOMENTUM, _EPSILON = 0.1, 1e-5
"""Of the batch norms: how fast running statistics follow, and what is added to variances."""

_STAGES = 3


class _Unit(NamedTuple):
    """A convolution of 3 x 3 with its batch norm: channels in and out, and the stride."""

    name: str
    inputs: int
    outputs: int
    stride: int


@dataclass(frozen=True)
class ResnetNetwork(Architecture):
    """6n + 2 layers: a convolution, three stages of n blocks of two, and the head over the mean of each channel.

    Stages have 1, 2 and 4 times `width` channels and halve the image between them; shortcuts have no weights (option A: every other
    pixel, and zeros for the new channels). He et al., 2016, arXiv:1512.03385, section 4.2. Pixels are bytes; `mean` and `std` (3) of
    the training rows scale them here. With a `cosine` head the logits are cosines, as those of `MlpNetwork`.
    """

    side: int
    depth: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    augmentation: Augmentation = "crop_flip"
    cosine: bool = False
    kind: Literal["resnet"] = "resnet"

    @property
    def floats_a_row(self) -> int:
        return max(self.width, 3) * self.side**2

    @property
    def features(self) -> int:
        """Return how many numbers the head sees."""
        return self.width << (_STAGES - 1)

    def own_blocks(self) -> list[Block]:
        found: list[Block] = []
        for unit in self._units():
            size = (unit.outputs,)
            found += [
                Block(f"{unit.name}.weight", (unit.outputs, unit.inputs, 3, 3)),
                Block(f"{unit.name}.norm.scale", size, "bias"),
                Block(f"{unit.name}.norm.shift", size, "bias"),
                Block(f"{unit.name}.norm.mean", size, "buffer"),
                Block(f"{unit.name}.norm.variance", size, "buffer"),
            ]
        head = [] if self.cosine else [Block("head.bias", (1, self.classes), "bias")]
        return [*found, Block("head.weight", (self.features, self.classes)), *head]

    def draw(self, blocks: Blocks, bias: Sequence[float], generator: torch.Generator) -> None:
        """Draw convolutions as He et al., 2015 (arXiv:1502.01852), and start the head as `MlpNetwork` does."""
        for unit in self._units():
            spread = math.sqrt(2 / (9 * unit.inputs))
            blocks[f"{unit.name}.weight"].normal_(0, spread, generator=generator)
            blocks[f"{unit.name}.norm.scale"].fill_(1)
            blocks[f"{unit.name}.norm.variance"].fill_(1)
        head = blocks["head.weight"]
        if self.cosine:
            bound = 1 / math.sqrt(self.features)
            head.copy_(torch.empty_like(head[:, :1]).uniform_(-bound, bound, generator=generator))
        else:
            blocks["head.bias"].copy_(torch.tensor(bias, dtype=torch.float64))

    def outputs(self, blocks: Blocks, inputs: Tensor, draws: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return logits (K, 1, N, C) of pixels (G, N, 3, side, side), a set for each G-th part of the members.

        Channels of all members lie side by side, (N, K channels, height, width): convolutions of K groups, and norms of each channel
        over the batch, keep members apart.
        """
        stack = _Stack(blocks, len(blocks["head.weight"]), is_training=draws is not None)
        pixels = inputs[0] if len(inputs) == 1 else stacked(inputs, stack.members)
        pixels = pixels if draws is None else augmented(pixels, self.augmentation, draws)
        first, *others = self._units()
        hidden = F.relu(stack.unit(first, self._scaled(pixels, blocks["head.weight"].dtype)))
        for opening, closing in zip(others[::2], others[1::2], strict=True):
            inner = F.relu(stack.unit(opening, hidden))
            hidden = F.relu(stack.unit(closing, inner) + stack.shortcut(hidden, opening))
        # Not by a pooling layer, whose gradient on a GPU comes out differently each time.
        pooled = hidden.mean(dim=(2, 3)).view(-1, stack.members, self.features).transpose(0, 1)
        if self.cosine:
            return cosines(blocks["head.weight"].transpose(1, 2), pooled.transpose(1, 2)).transpose(1, 2)[:, None]
        return narrow(blocks["head.bias"], pooled, blocks["head.weight"])[:, None]

    def _units(self) -> list[_Unit]:
        """Return every convolution, two to a block after the first."""
        units, channels = [_Unit("stem", 3, self.width, 1)], self.width
        for stage in range(_STAGES):
            wide = self.width << stage
            for block in range((self.depth - 2) // (2 * _STAGES)):
                name = f"stage{stage}.block{block}"
                units += [_Unit(f"{name}.opening", channels, wide, 1 + (wide != channels)), _Unit(f"{name}.closing", wide, wide, 1)]
                channels = wide
        return units

    def _scaled(self, pixels: Tensor, dtype: torch.dtype) -> Tensor:
        key = (dtype, pixels.device)
        if key not in self._scales:  # once: on a GPU each copy from the host would make a step wait
            self._scales[key] = torch.tensor([self.mean, self.std], dtype=dtype, device=pixels.device).view(2, 3, 1, 1)
        mean, std = self._scales[key].unbind()
        return (pixels.to(dtype) - mean) / std

    @cached_property
    def _scales(self) -> dict[tuple[torch.dtype, torch.device], Tensor]:
        return {}


@dataclass(frozen=True)
class _Stack:
    """The members' blocks, and how they are used on channels that lie side by side."""

    blocks: Blocks
    members: int
    is_training: bool

    def unit(self, unit: _Unit, hidden: Tensor) -> Tensor:
        """Convolve and norm (N, K inputs, …), or (N, inputs, …) and (K, N, inputs, …) where members have not been laid side by side."""
        weight = self.blocks[f"{unit.name}.weight"].flatten(0, 1)
        # What all members share goes through one plain convolution with the kernels of all.
        groups = 1 if hidden.shape[1] == unit.inputs and hidden.dim() == 4 else self.members
        if hidden.dim() == 5:
            hidden = hidden.transpose(0, 1).flatten(1, 2)
        return self._normed(unit, F.conv2d(hidden, weight, stride=unit.stride, padding=1, groups=groups))

    def _normed(self, unit: _Unit, hidden: Tensor) -> Tensor:
        scale, shift, mean, variance = (self.blocks[f"{unit.name}.norm.{part}"] for part in ("scale", "shift", "mean", "variance"))
        # Copies: the graph keeps what the norm has moved, and would not have it change afterwards.
        moved = mean.flatten().clone(), variance.flatten().clone()
        outputs = F.batch_norm(hidden, *moved, scale.flatten(), shift.flatten(), self.is_training, _MOMENTUM, _EPSILON)
        if self.is_training:
            mean.copy_(moved[0].view_as(mean))
            variance.copy_(moved[1].view_as(variance))
        return outputs

    def shortcut(self, hidden: Tensor, unit: _Unit) -> Tensor:
        """Return what goes past a block: all of it, or every other pixel with channels of zeros on both sides of each member's."""
        if unit.stride == 1:
            return hidden
        passed = hidden[:, :, ::2, ::2]
        apart = passed.reshape(len(passed), self.members, unit.inputs, *passed.shape[2:])
        before = (unit.outputs - unit.inputs) // 2
        return F.pad(apart, (0, 0, 0, 0, before, unit.outputs - unit.inputs - before)).flatten(1, 2)
