"""Which network a learner becomes on a table or on images."""

from typing import Annotated

from pydantic import Field

from counterweight.contracts.learners import ConcreteLearner, Linear, Resnet, Tabm
from workers.training.bins import Edges
from workers.training.encoding import Encoding
from workers.training.image_encoding import ImageEncoding
from workers.training.mlp import MlpNetwork
from workers.training.resnet import ResnetNetwork
from workers.training.tabm import TabmNetwork

AnyEncoding = Encoding | ImageEncoding
AnyNetwork = Annotated[MlpNetwork | TabmNetwork | ResnetNetwork, Field(discriminator="kind")]
"""Every architecture: a model's description holds one of them, told apart by `kind`."""


def network_of(learner: ConcreteLearner, encoding: AnyEncoding, edges: Edges, classes: int, cosine: bool = False) -> AnyNetwork:
    """Return a learner's network on what the encoding makes of rows; ValueError where the two do not go together.

    `edges` cut the numbers, which come first among the encoded columns, into the pieces of their embedding, if they have one.
    """
    if isinstance(encoding, ImageEncoding) and isinstance(learner, Resnet):
        return _resnet(learner, encoding, classes, cosine)
    if isinstance(encoding, ImageEncoding) or isinstance(learner, Resnet):
        raise ValueError(f"{learner.kind} is no learner for {'images' if isinstance(encoding, ImageEncoding) else 'tables'}")
    inputs = encoding.width
    if isinstance(learner, Linear):
        if cosine:
            raise ValueError("a cosine head needs features that were learnt: without hidden layers it has only the rows' directions")
        return MlpNetwork(inputs=inputs, classes=classes, hidden=())
    hidden, dropout = (learner.width,) * learner.depth, learner.dropout
    if isinstance(learner, Tabm):
        return TabmNetwork(
            inputs=inputs, classes=classes, hidden=hidden, voices=learner.members, dropout=dropout, edges=edges, cosine=cosine
        )
    return MlpNetwork(inputs=inputs, classes=classes, hidden=hidden, dropout=dropout, edges=edges, cosine=cosine)


def _resnet(learner: Resnet, encoding: ImageEncoding, classes: int, cosine: bool) -> ResnetNetwork:
    return ResnetNetwork(
        classes=classes,
        side=encoding.image_size,
        depth=learner.depth,
        width=learner.width,
        mean=encoding.mean,
        std=encoding.std,
        augmentation=learner.augmentation,
        cosine=cosine,
    )
