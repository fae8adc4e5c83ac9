"""Which network a learner becomes on a table."""

from collections.abc import Sequence
from typing import TypeAlias

from counterweight.contracts.learners import ConcreteLearner, Linear
from workers.training.mlp import MlpNetwork

AnyNetwork: TypeAlias = MlpNetwork
"""Every architecture: a model's description holds one of them, told apart by `kind`."""


def network_of(learner: ConcreteLearner, inputs: int, edges: Sequence[Sequence[float]], classes: int, cosine: bool = False) -> AnyNetwork:
    """Return a learner's network for so many inputs, of which the first are numbers that `edges` cut into pieces."""
    if isinstance(learner, Linear):
        if cosine:
            raise ValueError("a cosine head needs features that were learnt: without hidden layers it has only the rows' directions")
        return MlpNetwork(inputs=inputs, classes=classes, hidden=())
    cuts = () if learner.numeric_embedding == "none" else tuple(map(tuple, edges))
    return MlpNetwork(
        inputs=inputs, classes=classes, hidden=(learner.width,) * learner.depth, dropout=learner.dropout, edges=cuts, cosine=cosine
    )
