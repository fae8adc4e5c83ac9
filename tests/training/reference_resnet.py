"""The residual network for CIFAR written plainly, as modules of torch: what the stacked one is held against."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workers.training.resnet import ResnetNetwork


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride, self.added = 1 + (inputs != outputs), outputs - inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=self.stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        past = hidden[:, :, :: self.stride, :: self.stride]
        if self.added:
            past = F.pad(past, (0, 0, 0, 0, self.added // 2, self.added - self.added // 2))
        inner = F.relu(self.norm1(self.conv1(hidden)))
        return F.relu(self.norm2(self.conv2(inner)) + past)


def _directions(vectors: Tensor, dim: int) -> Tensor:
    return vectors / (vectors.pow(2).sum(dim, keepdim=True) + 1e-12).sqrt()


class ReferenceResnet(nn.Module):
    """6n + 2 layers over scaled pixels; with `cosine` the head compares directions."""

    def __init__(self, network: ResnetNetwork) -> None:
        super().__init__()
        widths = [network.width, network.width, 2 * network.width, 4 * network.width]
        self.network = network
        self.conv, self.norm = nn.Conv2d(3, network.width, 3, padding=1, bias=False), nn.BatchNorm2d(network.width)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(widths):
            for place in range((network.depth - 2) // 6):
                self.blocks.append(_Block(after if place else before, after))
        self.head = nn.Parameter(torch.zeros(widths[-1], network.classes))
        self.bias = None if network.cosine else nn.Parameter(torch.zeros(1, network.classes))

    def forward(self, pixels: Tensor) -> Tensor:
        mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in (self.network.mean, self.network.std))
        hidden = F.relu(self.norm(self.conv((pixels - mean) / std)))
        for block in self.blocks:
            hidden = block(hidden)
        features = F.adaptive_avg_pool2d(hidden, 1).flatten(1)
        if self.bias is None:
            return _directions(features, 1) @ _directions(self.head, 0)
        return features @ self.head + self.bias

    def tensors(self) -> dict[str, Tensor]:
        """Return every weight, bias and buffer by the name that the stacked network has for it."""
        found: dict[str, Tensor] = {"head.weight": self.head}
        if self.bias is not None:
            found["head.bias"] = self.bias
        units = [("stem", self.conv, self.norm)]
        deep = len(self.blocks) // 3
        for place, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            name = f"stage{place // deep}.block{place % deep}"
            units += [(f"{name}.opening", block.conv1, block.norm1), (f"{name}.closing", block.conv2, block.norm2)]
        for name, convolution, norm in units:
            assert norm.running_mean is not None
            assert norm.running_var is not None
            found |= {
                f"{name}.weight": convolution.weight,
                f"{name}.norm.scale": norm.weight,
                f"{name}.norm.shift": norm.bias,
                f"{name}.norm.mean": norm.running_mean,
                f"{name}.norm.variance": norm.running_var,
            }
        return found
