"""Comparing the arms of a study by the predictions that their jobs left."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from counterweight.contracts.messages import Compared, ComparisonRefused, ComparisonTask
from counterweight.statistics.comparing import compare
from counterweight.statistics.measured import Mismatched, Question, Run
from counterweight.statistics.outcomes import Outcome

MOST_THREADS = 4
"""More would wait for each other's memory, and each holds a run."""


class UnreadablePredictions(Exception):
    """A run's predictions cannot be read, or are not of the study's classes."""


def run(task: ComparisonTask) -> Compared | ComparisonRefused:
    """Compare the arms, looking at a few runs at a time."""
    question = Question(
        metric=task.metric,
        goal=task.goal,
        minimum_difference=task.minimum_difference,
        classes=task.classes,
        rarest=task.rarest,
        arms=task.arms,
        job_ids=task.job_ids,
        folds=task.folds,
    )
    try:
        return Compared(results=compare(question, _runs(task), min(MOST_THREADS, len(os.sched_getaffinity(0)))))
    except (Mismatched, UnreadablePredictions) as error:
        return ComparisonRefused(detail=str(error))


def _runs(task: ComparisonTask) -> Iterator[Run]:
    for each in task.runs:
        try:
            outcome = read_outcome(Path(each.predictions), task.classes, task.positive)
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            raise UnreadablePredictions(f"the predictions of a run of {task.arms[each.arm].arm} cannot be read: {error}") from error
        yield Run(each.arm, each.place, outcome, each.ece)


def read_outcome(path: Path, classes: list[str], positive: int | None) -> Outcome:
    """Return what a `predictions.parquet` says of the test rows, in the order of their numbers.

    Two classes are ranked by the raw score, which has no ties where probabilities round to 1. KeyError or ValueError when the file is
    not of these classes.
    """
    table = pq.read_table(path, filters=[("part", "=", "test")])
    rows = table.column("row").to_numpy()
    order = np.argsort(rows, kind="stable")
    probabilities = np.stack([table.column(f"probability:{label}").to_numpy() for label in classes], axis=1)
    if positive is None:
        scores = probabilities
    else:
        odds = table.column("raw_score").to_numpy()
        scores = np.stack([odds if index == positive else -odds for index in range(len(classes))], axis=1)
    return Outcome(
        rows=rows[order],
        labels=_indices(table.column("label"), classes)[order],
        decisions=_indices(table.column("predicted"), classes)[order],
        probabilities=probabilities[order],
        scores=scores[order],
        positive=positive,
    )


def _indices(column: pa.ChunkedArray, classes: list[str]) -> NDArray[np.int64]:
    """Return the place of each cell's class in `classes`; ValueError for a cell of another."""
    places = pc.index_in(column.cast(pa.string()), value_set=pa.array(classes, pa.string()))
    if places.null_count:
        raise ValueError(f"it has {places.null_count} rows of a class that is none of {', '.join(classes[:5])}")
    return np.asarray(places.to_numpy(), dtype=np.int64)
