"""Sizes that the service reckons, beside the networks that training makes."""

import numpy as np
import pytest

from counterweight.contracts.learners import Linear, Mlp, Tabm
from service.domain import table_networks
from workers.training.architectures import network_of
from workers.training.bins import PIECES, quantile_edges
from workers.training.encoding import CategoricalColumn, Encoding, NumericColumn

NUMBER = NumericColumn(name="n", centre=0, scale=1, flags_missing=False)
WORD = CategoricalColumn(name="w", categories=["a", "b", "c"], flags_rare=False, flags_missing=True)
ENCODING = Encoding(columns=[NUMBER, NUMBER, WORD], notes=[])
EDGES = (quantile_edges(np.arange(100.0)),) * 2


@pytest.mark.parametrize(
    "learner",
    [Linear(), Mlp(depth=3, width=200), Mlp(numeric_embedding="none"), Tabm(members=3, width=200), Tabm(depth=1, numeric_embedding="none")],
    ids=lambda learner: learner.model_dump_json(),
)
def test_the_service_knows_how_many_parameters_a_network_has(learner: Linear | Mlp | Tabm) -> None:
    is_plain = isinstance(learner, Linear) or learner.numeric_embedding == "none"
    network = network_of(learner, ENCODING, () if is_plain else EDGES, classes=4)

    reckoned = table_networks.parameters(learner, ENCODING.width, numbers=2, classes=4)

    assert reckoned == sum(block.size for block in network.blocks)


def test_the_service_knows_how_many_pieces_there_are() -> None:
    assert table_networks.PIECES == PIECES == len(EDGES[0]) - 1
