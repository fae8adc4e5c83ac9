"""What networks say of rows, without gradients: all rows of a table, in parts that a processor's cache holds."""

import torch
from torch import Tensor

from workers.training.networks import Architecture, Blocks
from workers.training.pace import LONG
from workers.training.rows import Source

FORWARD_FLOATS, FORWARD_FLOATS_ON_GPU = 2**16, 2**26
"""Numbers in one member's widest layer, so that a processor keeps those of many members in its cache; and in those of all members where
there is none to speak of."""


def all_logits(network: Architecture, parameters: Tensor, features: Tensor) -> Tensor:
    """Return logits (K, N, C) of any number of rows by the members whose rows `parameters` (K, P) are."""
    return forward(network, network.views(parameters), Source(network, features))


@torch.no_grad()
def forward(network: Architecture, blocks: Blocks, source: Source) -> Tensor:
    """Return logits (K, N, C) of all rows of a source, each the mean of its network's voices."""
    first = next(iter(blocks.values()))
    numbers = FORWARD_FLOATS if first.device.type == "cpu" else FORWARD_FLOATS_ON_GPU // len(first)
    # On a processor whatever the number of members is: how rows are cut could tell in the last digit.
    parts = source.parts(max(LONG, numbers // network.floats_a_row))
    return torch.cat([network.one_voice(network.outputs(blocks, part)) for part in parts], dim=1)
