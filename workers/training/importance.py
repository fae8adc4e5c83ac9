"""What each column is worth to a model: how much worse it ranks the test rows when the column's cells are shuffled among them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterweight.contracts.evaluation import ColumnImportance, Metric, PermutationImportance
from workers.training.ranking import average_precision, ranked
from workers.training.subject import Floats, Ints, Subject

MOST_PASSES = 5_000_000
"""Rows that go through the network, over all columns and repeats: some seconds."""

SEED = 0


@dataclass(frozen=True)
class Ranker:
    """A trained model on the test rows: their features (N, F) and labels (N,), and its log-probabilities (N, C) of any features."""

    subject: Subject
    features: Tensor
    labels: Ints
    log_probabilities: Callable[[Tensor], Floats]


def permutation_importance(
    ranker: Ranker, places: Mapping[str, Sequence[int]], repeats: int, is_cancelled: Callable[[], bool] = lambda: False
) -> PermutationImportance:
    """Return the importance of each column, whose features are at its `places`; all of these change rows together.

    Columns whose turn comes after it is cancelled are left out.
    """
    rows = _sample(ranker.labels, max(1, MOST_PASSES // (repeats * max(1, len(places)))))
    labels, features = ranker.labels[rows], ranker.features[torch.from_numpy(rows).to(ranker.features.device)]
    whole = _worth(ranker, features, labels)
    # Every column is shuffled in the same ways: what differs between them is not chance.
    orders = [np.random.Generator(np.random.PCG64([SEED, repeat])).permutation(len(rows)) for repeat in range(repeats)]
    found = []
    if whole.value is not None:
        for column, own in places.items():
            if is_cancelled():
                break
            falls = [whole.value - value for value in _shuffled(ranker, features, labels, list(own), orders)]
            found.append(ColumnImportance(column=column, mean=float(np.mean(falls)), sd=float(np.std(falls, ddof=1))))
    return PermutationImportance(
        metric="macro_average_precision" if ranker.subject.positive is None else "average_precision",
        value=whole.value,
        reason=whole.reason,
        rows=len(rows),
        of_rows=len(ranker.labels),
        repeats=repeats,
        columns=sorted(found, key=lambda column: (-column.mean, column.column)),
    )


def _shuffled(ranker: Ranker, features: Tensor, labels: Ints, own: list[int], orders: Sequence[NDArray[np.int64]]) -> list[float]:
    """Return the metric for each order of the rows' features at `own`."""
    values, changed = [], features.clone()
    for order in orders:
        changed[:, own] = features[torch.from_numpy(order).to(features.device)][:, own]
        values.append(_worth(ranker, changed, labels).value or 0.0)
    return values


def _worth(ranker: Ranker, features: Tensor, labels: Ints) -> Metric:
    """Return average precision, with several classes the mean over them; undefined where one has no row."""
    log_p, positive = ranker.log_probabilities(features), ranker.subject.positive
    if positive is not None:
        return average_precision(ranked(log_p[:, positive] - log_p[:, 1 - positive], labels == positive))
    of_classes = []
    for index, label in enumerate(ranker.subject.classes):
        precision = average_precision(ranked(log_p[:, index], labels == index)).value
        if precision is None:
            return Metric(value=None, reason=f"class_absent:{label}")
        of_classes.append(precision)
    return Metric(value=float(np.mean(of_classes)))


def _sample(labels: Ints, most: int) -> Ints:
    """Return the numbers, rising, of all rows or of about `most` of them: of each class its share, and one at least."""
    if len(labels) <= most:
        return np.arange(len(labels))
    source = np.random.Generator(np.random.PCG64(SEED))
    of_class = [source.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    return np.sort(np.concatenate([rows[: -(-len(rows) * most // len(labels))] for rows in of_class]))
