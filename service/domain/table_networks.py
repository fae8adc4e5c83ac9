"""How large a network on a table is, reckoned from its settings and the table's columns; at most, for training may embed no number."""

from itertools import pairwise

from counterweight.contracts.learners import Linear, Mlp, Tabm

PIECES = 32
"""Pieces that a number is cut into; a column of few values has fewer."""

EMBEDDED = 8
"""So many numbers stand for each number of a table in a tabm."""

ALIGNED = 16
"""Columns are padded to a multiple of this."""

TableLearner = Linear | Mlp | Tabm


def parameters(learner: TableLearner, inputs: int, numbers: int, classes: int) -> int:
    """Return how many weights and biases one network has on so many encoded columns, `numbers` of which are cut into pieces."""
    sizes = _sizes(learner, inputs, numbers)
    if not isinstance(learner, Tabm):
        return sum((before + 1) * after for before, after in pairwise([*sizes, classes]))
    shared = sum(before * after for before, after in pairwise(sizes))
    own = sum(before + 2 * after for before, after in pairwise(sizes)) + (learner.width + 1) * classes
    embedding = numbers * EMBEDDED * (PIECES + 2) if _embeds(learner) else 0
    return shared + learner.members * own + embedding


def products(learner: TableLearner, inputs: int, numbers: int, classes: int) -> int:
    """Return how many multiplications one row takes on its way through the layers."""
    once = sum(before * after for before, after in pairwise([*_sizes(learner, inputs, numbers), classes]))
    return learner.members * once if isinstance(learner, Tabm) else once


def activations(learner: TableLearner, inputs: int, numbers: int, classes: int) -> int:
    """Return how many numbers one row takes in training, over all layers, their gradients included."""
    sizes = _sizes(learner, inputs, numbers)
    if not isinstance(learner, Tabm):
        return 2 * (sum(sizes) + classes)
    # Each layer keeps what goes in, scaled, what the product gave, and what the ReLU made of it.
    own = 2 * (sizes[0] + 3 * sum(sizes[1:]) + classes)
    return learner.members * own + 2 * numbers * (PIECES + EMBEDDED)


def widest(learner: TableLearner, inputs: int, numbers: int, classes: int) -> int:
    """Return how many numbers one row is in the widest layer that every member of a cohort computes for itself."""
    if isinstance(learner, Mlp):
        return learner.width
    if isinstance(learner, Tabm):
        return learner.members * max(_sizes(learner, inputs, numbers))
    # Members of unlike seeds see rows of their own, so that the inputs are a member's own as well.
    return max(inputs, classes)


def _sizes(learner: TableLearner, inputs: int, numbers: int) -> list[int]:
    """Return how wide what goes into each layer is; the first of them is padded."""
    more = 0 if not _embeds(learner) else PIECES if isinstance(learner, Mlp) else EMBEDDED - 1
    columns = -(-(inputs + more * numbers) // ALIGNED) * ALIGNED
    return [columns, *([] if isinstance(learner, Linear) else [learner.width] * learner.depth)]


def _embeds(learner: TableLearner) -> bool:
    return not isinstance(learner, Linear) and learner.numeric_embedding != "none"
