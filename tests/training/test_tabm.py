"""TabM in the stacked program, beside the same written as loops over members, voices and rows."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.training.every_network import EDGES, TABM
from workers.training.networks import Blocks


def embedded(number: float, cuts: tuple[float, ...], blocks: Blocks, column: int) -> Tensor:
    """Return what one number enters as."""
    values = blocks["numbers.bias"][column, 0] + number * blocks["numbers.weight"][column, 0]
    for piece, (low, high) in enumerate(pairwise(cuts)):
        values = values + min(1.0, max(0.0, (number - low) / (high - low))) * blocks["numbers.pieces"][column, piece]
    return values


def voice_logits(row: Tensor, blocks: Blocks, voice: int) -> Tensor:
    """Return the logits of one row by one voice of one member, whose blocks these are."""
    hidden = torch.cat([*(embedded(float(row[column]), cuts, blocks, column) for column, cuts in enumerate(TABM.edges)), row[2:]])
    hidden = F.pad(hidden, (0, blocks["layer0.weight"].shape[2] - len(hidden)))
    for layer in range(len(TABM.hidden)):
        product = blocks[f"layer{layer}.weight"][0] @ (hidden * blocks[f"layer{layer}.in"][voice, 0])
        hidden = torch.relu(product * blocks[f"layer{layer}.out"][voice, :, 0] + blocks[f"layer{layer}.bias"][voice, :, 0])
    return blocks["head.weight"][voice] @ hidden + blocks["head.bias"][voice, :, 0]


def test_stacked_it_is_what_plain_loops_make_of_it() -> None:
    generator = torch.Generator().manual_seed(0)
    parameters = torch.randn(2, TABM.parameters, dtype=torch.float64, generator=generator)
    features = torch.randn(2, 6, 3, dtype=torch.float64, generator=generator)

    logits = TABM.outputs(TABM.views(parameters), torch.stack([TABM.embedded(each) for each in features]))

    for member in range(2):
        blocks = {name: block[member] for name, block in TABM.views(parameters).items()}
        for voice in range(TABM.voices):
            expected = torch.stack([voice_logits(row, blocks, voice) for row in features[member]])
            torch.testing.assert_close(logits[member, voice], expected, rtol=1e-12, atol=1e-12)


def test_voices_start_apart_by_their_factors_on_each_column_alone() -> None:
    blocks = TABM.views(TABM.initial([0], [[0.0, 0.0]]))

    factors = blocks["layer0.in"][0, :, 0]

    assert len({tuple(each) for each in factors.tolist()}) == TABM.voices
    for column in range(len(EDGES[:2])):
        of_column = factors[:, 3 * column : 3 * column + 3]
        assert torch.equal(of_column, of_column[:, :1].expand(-1, 3))
    for name in ("layer0.out", "layer1.in", "layer1.out"):
        assert (blocks[name] == 1).all()
    assert torch.equal(blocks["layer0.bias"][0, 0], blocks["layer0.bias"][0, 3])


def test_the_embedding_starts_linear() -> None:
    blocks = TABM.views(TABM.initial([0], [[0.0, 0.0]]))
    for name in ("head.weight", "layer0.in"):
        blocks[name].fill_(1.0)
    along = torch.tensor([[-3.0, 0, 0], [0.0, 0, 0], [3.0, 0, 0]], dtype=torch.float64)

    ends = TABM._first(blocks, TABM.embedded(along)[None])[0]

    assert ends[1].tolist() == pytest.approx(((ends[0] + ends[2]) / 2).tolist())
