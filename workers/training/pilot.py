"""Which embedding of its numbers suits a table: tried on a small network, once for a table and a kind of learner, and remembered."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError

from counterweight.contracts.base import View
from counterweight.contracts.learners import ConcreteLearner, Mlp, NumericEmbedding, Tabm
from counterweight.contracts.splits import Part
from counterweight.contracts.terms import ClassCounts, LossTerms, prior_bias
from workers.training.architectures import AnyNetwork, network_of
from workers.training.bins import Edges
from workers.training.files import write_whole
from workers.training.happenings import Epoch
from workers.training.loop import train
from workers.training.pace import Pace, batch_rows
from workers.training.population import Plan
from workers.training.prepared import Prepared
from workers.training.rows import Rows
from workers.training.validation import FEWEST_STOPPING_ROWS

VERSION = 1
"""Raised with every change of how the choice is made; older choices are then left aside."""

SEEDS = (0, 1)
STEPS = 400
MOST_ROWS = 20_000
WIDTH, MEMBERS = 64, 4
LEARNING_RATE, WEIGHT_DECAY, EMA = 3e-3, 1e-4, 0.98
EMBEDDINGS: tuple[NumericEmbedding, ...] = ("none", "piecewise_linear", "piecewise_linear_target")
"""The simplest first: it wins a tie."""


class Choice(View):
    """The embedding that did best in the pilot, and what each came to on the validation rows, by `metric`."""

    embedding: NumericEmbedding
    metric: Literal["average_precision", "log_loss"]
    values: dict[NumericEmbedding, float]

    @property
    def note(self) -> str:
        told = ", ".join(f"{embedding} {value:.4g}" for embedding, value in self.values.items())
        return f"numeric_embedding {self.embedding} was chosen by a trial on the validation rows ({self.metric}: {told})"


@dataclass(frozen=True)
class Settled:
    """A learner with nothing left to choose, the edges of its embedding's pieces, and how that was chosen, where it was."""

    learner: ConcreteLearner
    edges: Edges
    choice: Choice | None


def settle(learner: ConcreteLearner, prepared: Prepared, folder: Path) -> Settled:
    """Return the learner as it is to be trained; a choice is looked up in `folder`, else made and put there.

    The choice hangs on the prepared table and the kind of learner alone: jobs that differ in their loss are compared on equal terms.
    """
    if not isinstance(learner, Mlp | Tabm):
        return Settled(learner, (), None)
    options = [embedding for embedding in EMBEDDINGS if embedding == "none" or prepared.bins.of(embedding)]
    choice = None
    if learner.numeric_embedding == "auto" and len(options) > 1:
        choice = _remembered_choice(learner, prepared, options, folder)
    wanted = learner.numeric_embedding if choice is None else choice.embedding
    embedding: NumericEmbedding = wanted if wanted in options else "none"
    return Settled(learner.model_copy(update={"numeric_embedding": embedding}), prepared.bins.of(embedding), choice)


def _remembered_choice(learner: Mlp | Tabm, prepared: Prepared, options: Sequence[NumericEmbedding], folder: Path) -> Choice:
    small = learner.model_copy(update={"width": min(learner.width, WIDTH), "dropout": 0.0})
    if isinstance(small, Tabm):
        small = small.model_copy(update={"members": min(small.members, MEMBERS)})
    key = hashlib.sha256(f"{VERSION} {prepared.key} {small.model_dump_json()}".encode()).hexdigest()
    path = folder / f"{key}.pilot.json"
    try:
        return Choice.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        choice = _choose(small, prepared, options)
    write_whole(path, choice.model_dump_json().encode())
    return choice


def _choose(learner: Mlp | Tabm, prepared: Prepared, options: Sequence[NumericEmbedding]) -> Choice:
    metric, goal = ("log_loss", -1) if min(prepared.class_counts("validation")) < FEWEST_STOPPING_ROWS else ("average_precision", 1)
    values = {}
    for embedding in options:
        network = network_of(learner, prepared.encoding, prepared.bins.of(embedding), len(prepared.classes))
        values[embedding] = _trial(network, prepared, f"validation/{metric}", goal)
    return Choice(embedding=max(options, key=lambda embedding: goal * values[embedding]), metric=metric, values=values)


def _trial(network: AnyNetwork, prepared: Prepared, series: str, goal: int) -> float:
    """Return the mean, over seeds, of the best that a network came to on the validation rows."""
    counts = ClassCounts(prepared.classes, prepared.class_weights(prepared.span("train")))
    terms = LossTerms.neutral(len(prepared.classes))
    positive = counts.rarest if len(prepared.classes) == 2 else None
    bias = tuple(prior_bias(terms, counts.shares))
    plans = [Plan(terms, bias, LEARNING_RATE, WEIGHT_DECAY, EMA, seed, stopping=None, positive=positive) for seed in SEEDS]
    training, validation = _some_rows(prepared, "train"), replace(_some_rows(prepared, "validation"), weights=None)
    batch_size = batch_rows(len(training.labels))
    pace = Pace(epochs=-(-STEPS * batch_size // len(training.labels)), batch_size=batch_size, schedule="flat_cosine")
    best = dict.fromkeys(range(len(SEEDS)), -math.inf)
    for event in train(network, plans, pace, training, validation, lambda _: False):
        if isinstance(event, Epoch):
            best[event.member] = max(best[event.member], goal * event.values[series])
    return goal * sum(best.values()) / len(best)


def _some_rows(prepared: Prepared, part: Part) -> Rows:
    """Return the rows of a part, or as many of them as a pilot looks at, drawn with a fixed seed."""
    span = prepared.span(part)
    rows = Rows(prepared.features[span], prepared.labels[span], prepared.row_weights(span))
    if len(rows.labels) <= MOST_ROWS:
        return rows
    drawn = torch.randperm(len(rows.labels), generator=torch.Generator().manual_seed(0))[:MOST_ROWS]
    return Rows(rows.features[drawn], rows.labels[drawn], None if rows.weights is None else rows.weights[drawn])
