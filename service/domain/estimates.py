"""What a job may need, told before it is queued: from its numbers alone, roughly, and saying so."""

from dataclasses import dataclass

from counterweight.contracts.datasets import MOST_CATEGORIES, Column, TableFacts
from counterweight.contracts.jobs import JobSpec, ResolvedSpec
from counterweight.contracts.learners import Resnet
from counterweight.contracts.splits import ColumnSplit
from service.domain import image_networks, table_networks
from service.domain.divisions import train_counts

FLOAT_BYTES = 4
TRAINER_BYTES = 400_000_000
"""A trainer that has loaded its libraries and nothing else."""

_WORDS = ("categorical", "text")

COPIES = 6
"""Parameters, their gradients, two moments of the optimiser, the running mean, and the best epoch's."""


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak, what they were reckoned from, and the bytes that each further job trained beside this one takes."""

    bytes: int
    basis: str
    member_bytes: int


def memory(spec: ResolvedSpec, facts: TableFacts) -> Memory:
    """Return what one trainer of this job holds at once: the encoded table, the network with its optimiser, and a batch."""
    if isinstance(spec.learner, Resnet):
        return _of_images(spec, spec.learner, facts)
    width, classes = inputs(spec, facts), len(facts.classes)
    parameters = table_networks.parameters(spec.learner, width, numbers(spec, facts), classes)
    batch = batch_rows(spec, facts)
    probabilities = facts.rows * 2 * classes * FLOAT_BYTES
    table = facts.rows * (width + 2) * FLOAT_BYTES
    network = COPIES * parameters * FLOAT_BYTES
    activations = batch * table_networks.activations(spec.learner, width, numbers(spec, facts), classes) * FLOAT_BYTES
    basis = (
        f"{TRAINER_BYTES // 10**6} MB for a trainer, {facts.rows:,} rows of at most {width:,} encoded features and their probabilities, "
        f"{COPIES} times {parameters:,} parameters, a batch of {batch:,}; roughly, and more while the file is encoded"
    )
    member = probabilities + network + activations
    return Memory(TRAINER_BYTES + table + member, basis, member)


def _of_images(spec: ResolvedSpec, learner: Resnet, facts: TableFacts) -> Memory:
    side, classes, batch = facts.image_size or 0, len(facts.classes), batch_rows(spec, facts)
    parameters = image_networks.parameters(learner, classes)
    activations = image_networks.activations(learner, side)
    member = (2 * facts.rows * classes + COPIES * parameters + batch * activations) * FLOAT_BYTES
    basis = (
        f"{TRAINER_BYTES // 10**6} MB for a trainer, {facts.rows:,} images of 3 x {side} x {side} bytes and their probabilities, "
        f"{COPIES} times {parameters:,} parameters, a batch of {batch:,} with {activations:,} numbers each; roughly"
    )
    return Memory(TRAINER_BYTES + facts.rows * 3 * side**2 + member, basis, member)


def inputs(spec: JobSpec, facts: TableFacts) -> int:
    """Return how many encoded features there are at most."""
    return sum(map(_width, _features(spec, facts)))


def numbers(spec: JobSpec, facts: TableFacts) -> int:
    """Return how many of the features are numbers."""
    return sum(column.type not in _WORDS for column in _features(spec, facts))


def batch_rows(spec: ResolvedSpec, facts: TableFacts) -> int:
    """Return how many rows a training step sees."""
    return min(spec.training.batch_size or facts.rows, facts.rows)


def train_rows(spec: ResolvedSpec, facts: TableFacts) -> int:
    """Return how many rows the job trains on, about."""
    return sum(train_counts(spec, facts).values())


def rows_an_epoch(spec: ResolvedSpec, facts: TableFacts) -> int:
    """Return how many rows the job's epochs see, about: those of its training, and where it trains again, those of the second one too."""
    rows = train_rows(spec, facts)
    if not spec.training.refit:
        return rows
    if isinstance(spec.split, ColumnSplit):
        return 2 * rows + sum(facts.part_classes[spec.split.column]["validation"].values())
    return 2 * rows + round(facts.rows * spec.split.validation)


def _features(spec: JobSpec, facts: TableFacts) -> list[Column]:
    return [column for column in facts.columns if column.name not in {spec.target, *spec.exclude}]


def _width(column: Column) -> int:
    if column.type in _WORDS:
        return min(column.distinct, MOST_CATEGORIES) + 2
    return 1 + (column.missing > 0)
