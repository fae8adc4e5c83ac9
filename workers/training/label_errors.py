"""Rows whose label may be wrong: a model that was not trained on them is as sure of another class as it is of that class's own rows."""

from collections.abc import Mapping

import numpy as np

from counterweight.contracts.evaluation import SuspectedLabelError, SuspectedLabelErrors, SuspectedPair
from counterweight.statistics.operating import PARTS, JudgedPart
from workers.training.subject import Floats, Ints, Judged

MOST_ROWS = 50


def suspected_label_errors(classes: tuple[str, ...], judged: Mapping[JudgedPart, Judged]) -> SuspectedLabelErrors:
    """Return the suspected rows of both parts, the greatest margin first; of equals those of the lower number."""
    labels = np.concatenate([judged[part].labels for part in PARTS])
    probabilities = np.exp(np.concatenate([judged[part].log_p for part in PARTS]))
    sure = _self_confidence(probabilities, labels)
    suggested = _suggested(probabilities, labels, sure)
    return SuspectedLabelErrors(
        self_confidence={label: None if np.isnan(value) else float(value) for label, value in zip(classes, sure, strict=True)},
        pairs=_pairs(classes, labels, suggested),
        rows=_rows(classes, judged, probabilities, labels, suggested),
    )


def _self_confidence(probabilities: Floats, labels: Ints) -> Floats:
    """Return the mean probability (C,) that rows of a class have of it; NaN for a class without rows."""
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    own = np.bincount(labels, weights=probabilities[np.arange(len(labels)), labels], minlength=len(counts))
    return np.asarray(np.divide(own, counts, out=np.full(len(counts), np.nan), where=counts > 0))


def _suggested(probabilities: Floats, labels: Ints, sure: Floats) -> Ints:
    """Return the likeliest class (N,) of those that a row is as sure of as their own rows are; its label where there is none."""
    confident = np.where(probabilities >= sure, probabilities, -1.0)  # NaN compares as false: an absent class is never suggested.
    likeliest = confident.argmax(axis=1)
    return np.where(confident.max(axis=1) >= 0, likeliest, labels)


def _pairs(classes: tuple[str, ...], labels: Ints, suggested: Ints) -> list[SuspectedPair]:
    """Return the counts of all pairs that occur, the most frequent first."""
    is_suspected = suggested != labels
    count = len(classes)
    found = np.bincount(labels[is_suspected] * count + suggested[is_suspected], minlength=count * count)
    return [
        SuspectedPair(label=classes[pair // count], suggested=classes[pair % count], count=int(found[pair]))
        for pair in np.argsort(-found, kind="stable")[: np.count_nonzero(found)]
    ]


def _rows(
    classes: tuple[str, ...], judged: Mapping[JudgedPart, Judged], probabilities: Floats, labels: Ints, suggested: Ints
) -> list[SuspectedLabelError]:
    """Return those of the greatest margin."""
    numbers, validation_rows = np.concatenate([judged[part].scored.rows for part in PARTS]), len(judged["validation"].labels)
    every = np.arange(len(labels))
    margin = probabilities[every, suggested] - probabilities[every, labels]
    suspected = np.flatnonzero(suggested != labels)
    worst = suspected[np.lexsort((numbers[suspected], -margin[suspected]))][:MOST_ROWS]
    return [
        SuspectedLabelError(
            row=int(numbers[index]),
            part="validation" if index < validation_rows else "test",
            label=classes[labels[index]],
            suggested=classes[suggested[index]],
            probability=float(probabilities[index, labels[index]]),
            suggested_probability=float(probabilities[index, suggested[index]]),
            margin=float(margin[index]),
        )
        for index in worst
    ]
