"""What a job may need, told before it is queued: from its numbers alone, roughly, and saying so."""

from collections.abc import Iterable
from dataclasses import dataclass

from counterweight.contracts.datasets import Column, TableFacts
from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.learners import Mlp
from service.domain.divisions import train_counts

FLOAT_BYTES = 4
TRAINER_BYTES = 400_000_000
"""A trainer that has loaded its libraries and nothing else."""

MOST_CATEGORIES = 64
PIECES = 32
"""So wide a text column and the embedding of a number become at most; the encoding has them from the training rows."""

COPIES = 6
"""Parameters, their gradients, two moments of the optimiser, the running mean, and the best epoch's."""


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak, and what they were reckoned from."""

    bytes: int
    basis: str


def memory(spec: ResolvedSpec, facts: TableFacts) -> Memory:
    """Return what one trainer of this job holds at once: the encoded table, the network with its optimiser, and a batch."""
    features = [column for column in facts.columns if column.name not in {spec.target, *spec.exclude}]
    inputs, classes = sum(map(_width, features)), len(facts.classes)
    layers = _layers(spec, inputs, features)
    parameters = sum((before + 1) * after for before, after in zip(layers, [*layers[1:], classes], strict=True))
    batch = min(spec.training.batch_size or facts.rows, facts.rows)
    table = facts.rows * (inputs + 2 * classes + 2) * FLOAT_BYTES
    network = COPIES * parameters * FLOAT_BYTES
    activations = 2 * batch * (sum(layers) + classes) * FLOAT_BYTES
    basis = (
        f"{TRAINER_BYTES // 10**6} MB for a trainer, {facts.rows:,} rows of at most {inputs:,} encoded features and their probabilities, "
        f"{COPIES} times {parameters:,} parameters, a batch of {batch:,}; roughly, and more while the file is encoded"
    )
    return Memory(TRAINER_BYTES + table + network + activations, basis)


def train_rows(spec: ResolvedSpec, facts: TableFacts) -> int:
    """Return how many rows the job trains on, about."""
    return sum(train_counts(spec, facts).values())


def _width(column: Column) -> int:
    if column.type in ("categorical", "text"):
        return min(column.distinct, MOST_CATEGORIES) + 2
    return 1 + (column.missing > 0)


def _layers(spec: ResolvedSpec, inputs: int, features: Iterable[Column]) -> list[int]:
    """Return how wide what goes into each layer is."""
    if not isinstance(spec.learner, Mlp):
        return [inputs]
    numbers = sum(column.type not in ("categorical", "text") for column in features)
    embedded = 0 if spec.learner.numeric_embedding == "none" else PIECES * numbers
    return [inputs + embedded, *[spec.learner.width] * spec.learner.depth]
