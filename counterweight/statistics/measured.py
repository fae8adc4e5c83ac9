"""What is kept of each finished run of a study, while the next is looked at: its metric, the draws of it, and which rows it got right."""

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.studies import Arm, Goal, StudyMetric
from counterweight.statistics.bootstrap import DRAWS
from counterweight.statistics.outcomes import Outcome, PoissonWeights, Truths
from counterweight.statistics.paired_tests import placements
from counterweight.statistics.weighted import measure_of, value_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_PAIRED = 20
"""Of more arms, rows are not kept to be compared one by one."""


@dataclass(frozen=True)
class Question:
    """What is compared and by what: `classes` and the place of the rarest among them, `job_ids` of each arm, ended well or not."""

    metric: StudyMetric
    goal: Goal
    minimum_difference: float
    classes: Sequence[str]
    rarest: int
    arms: Sequence[Arm]
    job_ids: Sequence[Sequence[str]]
    folds: int | None = None

    @property
    def shows_all_pairs(self) -> bool:
        return len(self.arms) <= MOST_PAIRED

    def fold_of(self, place: int) -> int:
        return 0 if self.folds is None else place % self.folds


@dataclass(frozen=True)
class Run:
    """A finished run: its arm, its place among the arm's runs, what it says of the test rows, and its calibration error."""

    arm: int
    place: int
    outcome: Outcome
    ece: float | None = None


@dataclass
class Standing:
    """What is kept of an arm's runs, each by its place; `seen` counts those too that the metric is undefined of."""

    seen: int = 0

    values: dict[int, float] = field(default_factory=dict)
    draws: dict[int, Floats] = field(default_factory=dict)
    recalls: dict[int, float] = field(default_factory=dict)
    errors: dict[int, float] = field(default_factory=dict)
    right: dict[int, Truths] = field(default_factory=dict)
    placed: dict[int, Floats] = field(default_factory=dict)


@dataclass
class Measured:
    """The arms' standings, and by fold the numbers and the classes of the test rows."""

    standings: list[Standing]
    classes: int
    positive: int | None = None
    rows: dict[int, Ints] = field(default_factory=dict)
    labels: dict[int, Ints] = field(default_factory=dict)

    @property
    def smallest_class(self) -> int:
        """Return how many test rows the rarest class has, in the fold where it has fewest."""
        counts = [np.bincount(labels, minlength=self.classes) for labels in self.labels.values()]
        return min((int(each.min()) for each in counts), default=0)

    @property
    def test_rows(self) -> int:
        return sum(map(len, self.labels.values()))


class Mismatched(ValueError):
    """Two runs were not tested on the same rows."""


def measure_runs(question: Question, runs: Iterable[Run], threads: int = 1) -> Measured:
    """Measure so many runs at a time; Mismatched where those of one fold have not the same rows.

    All see the same draws. With folds the rows tell the spread by themselves, and nothing is drawn.
    """
    found = Measured([Standing() for _ in question.arms], len(question.classes))
    weights: PoissonWeights | None = None
    begun: deque[Future[None]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        # The next run is read while those before it are measured.
        for run in runs:
            _check_rows(question, found, run)
            found.positive = run.outcome.positive
            if weights is None and question.folds is None:
                weights = PoissonWeights(len(run.outcome.rows), DRAWS)
            found.standings[run.arm].seen += 1
            begun.append(pool.submit(_measure, question, found.standings[run.arm], run, weights))
            if len(begun) > threads:
                begun.popleft().result()
        for measured in begun:
            measured.result()
    return found


def _measure(question: Question, standing: Standing, run: Run, weights: PoissonWeights | None) -> None:
    outcome = run.outcome
    if run.ece is not None:
        standing.errors[run.place] = run.ece
    is_rarest = outcome.labels == question.rarest
    if is_rarest.any():
        standing.recalls[run.place] = float(outcome.is_right[is_rarest].mean())
    measure = measure_of(question.metric, outcome)
    value = value_of(measure, len(outcome.rows))
    if value is not None:
        standing.values[run.place] = value
    if value is None or weights is None:
        return
    standing.draws[run.place] = np.concatenate([*map(measure, weights)])
    if question.shows_all_pairs:
        standing.right[run.place] = outcome.is_right
        if question.metric == "roc_auc" and outcome.positive is not None:
            standing.placed[run.place] = placements(outcome.scores[:, outcome.positive], outcome.labels == outcome.positive)


def _check_rows(question: Question, found: Measured, run: Run) -> None:
    fold, outcome = question.fold_of(run.place), run.outcome
    rows = found.rows.setdefault(fold, outcome.rows)
    labels = found.labels.setdefault(fold, outcome.labels)
    if not (np.array_equal(rows, outcome.rows) and np.array_equal(labels, outcome.labels)):
        raise Mismatched(f"a run of {question.arms[run.arm].arm} was tested on other rows than the first run of the study")
