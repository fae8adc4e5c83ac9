"""One or more of each architecture, for laws that all must keep: two classes, three inputs, of which the first two are cut into pieces."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from workers.training.mlp import MlpNetwork
from workers.training.networks import Architecture, Block, Blocks, stacked
from workers.training.tabm import TabmNetwork

EDGES = ((-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0), ())
MLP = MlpNetwork(inputs=3, classes=2, hidden=(5, 7), edges=EDGES)
TABM = TabmNetwork(inputs=3, classes=2, hidden=(5, 7), voices=4, edges=EDGES[:2], width=3)


@dataclass(frozen=True)
class Centred(Architecture):
    """Logistic regression on features less their running mean: the smallest network with a buffer."""

    kind: Literal["centred"] = "centred"

    @property
    def floats_a_row(self) -> int:
        return 3

    def own_blocks(self) -> list[Block]:
        return [Block("mean", (1, 3), "buffer"), Block("bias", (1, self.classes), "bias"), Block("weight", (3, self.classes))]

    def draw(self, blocks: Blocks, bias: Sequence[float], generator: torch.Generator) -> None:
        blocks["bias"].copy_(torch.tensor(bias))

    def outputs(self, blocks: Blocks, inputs: Tensor, draws: Sequence[torch.Generator] | None = None) -> Tensor:
        inputs = stacked(inputs, len(blocks["bias"]))
        if draws is not None:
            blocks["mean"].lerp_(inputs.mean(dim=1, keepdim=True), 0.1)
        return (blocks["bias"] + torch.bmm(inputs - blocks["mean"], blocks["weight"]))[:, None]


CENTRED = Centred(classes=2)
EVERY_NETWORK: dict[str, Architecture] = {
    "linear": MlpNetwork(inputs=3, classes=2, hidden=()),
    "mlp": MLP,
    "mlp with dropout": replace(MLP, dropout=0.3),
    "mlp with a cosine head": replace(MLP, cosine=True),
    "tabm": TABM,
    "tabm with dropout": replace(TABM, dropout=0.3),
    "tabm with a cosine head": replace(TABM, cosine=True),
    "tabm without an embedding": replace(TABM, edges=()),
    "with a buffer": CENTRED,
}
every_network = pytest.mark.parametrize("network", EVERY_NETWORK.values(), ids=EVERY_NETWORK.keys())
