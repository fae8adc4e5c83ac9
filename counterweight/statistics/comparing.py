"""The comparison of a study's arms: a leaderboard with intervals, every pair with its difference, and the verdict."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.studies import Comparison, LeaderboardRow, McNemar, StudyMetric, StudyResults
from counterweight.statistics.bootstrap import FEWEST_ROWS
from counterweight.statistics.estimates import FEWEST_RUNS, Estimate, Spread, of_folds, of_runs, spread, typical_spread
from counterweight.statistics.measured import Measured, Question, Run, Standing, measure_runs
from counterweight.statistics.paired_tests import delong, holm, mcnemar
from counterweight.statistics.verdicts import Rival, Size, decide

Floats = NDArray[np.float64]

CONFIDENCE = 0.95

RANGES: dict[StudyMetric, tuple[float, float]] = {"log_loss": (0.0, inf), "brier": (0.0, 2.0), "mcc": (-1.0, 1.0), "kappa": (-1.0, 1.0)}
"""Between which values a metric lies, where that is not 0 and 1."""


@dataclass(frozen=True)
class _Pair:
    """Two arms by their places in the study, the one with the better mean first, and the values of the runs that both have."""

    first: int
    second: int
    places: Sequence[int]
    apart: Floats
    draws: Floats


def compare(question: Question, runs: Iterable[Run], threads: int = 1) -> StudyResults:
    """Compare arms by their runs, so many at a time: those of equal place, and so of equal seed and fold, are paired.

    Mismatched where they were not tested on the same rows.
    """
    found = measure_runs(question, runs, threads)
    rows = _leaderboard(question, found)
    order = [index for index, row in rows if row.runs >= FEWEST_RUNS]
    pairs = [_paired(found.standings, first, second) for first, second in combinations(order, 2)]
    estimates = _estimates(question, found, pairs, len(order))
    adjusted = holm([estimate.p_value for estimate in estimates])
    told = list(zip(pairs, estimates, adjusted, strict=True))
    if not question.shows_all_pairs:
        told = told[: len(order) - 1]
    comparisons = [_comparison(question, found, *each) for each in told]
    leaderboard = [row for _, row in rows]
    # The pairs of the leader come first: it is the first of every combination that holds it.
    rivals = [Rival(*each) for each in zip(comparisons, estimates, strict=False)][: max(0, len(order) - 1)]
    seeds = max((len(standing.values) for standing in found.standings), default=0)
    size = Size(found.test_rows, seeds, is_folded=question.folds is not None)
    return StudyResults(leaderboard=leaderboard, comparisons=comparisons, verdict=decide(question, leaderboard, rivals, size))


def _leaderboard(question: Question, found: Measured) -> list[tuple[int, LeaderboardRow]]:
    """Return the arms with their places in the study, the best mean first, those without one last."""
    rows = [(index, _row(question, found, index)) for index in range(len(question.arms))]
    sign = 1 if question.goal == "min" else -1
    rows.sort(key=lambda one: inf if one[1].mean is None else sign * one[1].mean)
    means = [row.mean for _, row in rows]
    # Arms of equal means share a rank.
    return [(index, row.model_copy(update={"rank": None if row.mean is None else means.index(row.mean) + 1})) for index, row in rows]


def _row(question: Question, found: Measured, index: int) -> LeaderboardRow:
    standing = found.standings[index]
    places = sorted(standing.values)
    values = np.array([standing.values[place] for place in places])
    estimate = _estimate(question, found, places, values, _draws(standing, places))
    limits = _within(estimate.limits(CONFIDENCE), question.metric)
    return LeaderboardRow(
        **dict(question.arms[index]),
        mean=estimate.value,
        sd=float(values.std(ddof=1)) if len(values) > 1 else None,
        low=None if limits is None else limits[0],
        high=None if limits is None else limits[1],
        reason=estimate.reason if len(values) else "undefined" if standing.seen else "no_runs",
        runs=len(values),
        minority_recall=float(_mean(standing.recalls)) if standing.recalls else None,
        ece=float(_mean(standing.errors)) if standing.errors else None,
        rank=None,
        job_ids=list(question.job_ids[index]),
    )


def _paired(standings: Sequence[Standing], first: int, second: int) -> _Pair:
    a, b = standings[first], standings[second]
    places = sorted(a.values.keys() & b.values.keys())
    apart = np.array([a.values[place] - b.values[place] for place in places])
    return _Pair(first, second, places, apart, _draws(a, places) - _draws(b, places))


def _draws(standing: Standing, places: Sequence[int]) -> Floats:
    return np.array([standing.draws[place] for place in places if place in standing.draws])


def _estimates(question: Question, found: Measured, pairs: Sequence[_Pair], arms: int) -> list[Estimate]:
    """Estimate each pair's difference; a spread between seeds that is small by chance is taken for the typical one."""
    identical = [_is_identical(pair) for pair in pairs]
    spreads = [spread(pair.apart) for pair, same in zip(pairs, identical, strict=True) if len(pair.places) >= FEWEST_RUNS and not same]
    typical = typical_spread(spreads, arms)
    return [
        Estimate(0.0, reason="identical") if same else _estimate(question, found, pair.places, pair.apart, pair.draws, typical)
        for pair, same in zip(pairs, identical, strict=True)
    ]


def _is_identical(pair: _Pair) -> bool:
    """Whether both arms come to the same on these rows however they weigh."""
    return len(pair.places) >= FEWEST_RUNS and not pair.apart.any() and not np.nan_to_num(pair.draws).any()


def _estimate(
    question: Question, found: Measured, places: Sequence[int], values: Floats, draws: Floats, typical: Spread | None = None
) -> Estimate:
    if question.folds is not None:
        of_fold: dict[int, list[float]] = defaultdict(list)
        for place, value in zip(places, values, strict=True):
            of_fold[question.fold_of(place)].append(value)
        return of_folds(np.array([np.mean(each) for each in of_fold.values()]), question.folds)
    estimate = of_runs(values, draws, found.smallest_class, typical)
    return estimate.without("too_few") if estimate.error is not None and found.smallest_class < FEWEST_ROWS else estimate


def _comparison(question: Question, found: Measured, pair: _Pair, estimate: Estimate, p_adjusted: float | None) -> Comparison:
    better = -pair.apart if question.goal == "min" else pair.apart
    limits = (0.0, 0.0) if estimate.reason == "identical" else estimate.limits(CONFIDENCE)
    a, b = (found.standings[index] for index in (pair.first, pair.second))
    return Comparison(
        a=question.arms[pair.first].arm,
        b=question.arms[pair.second].arm,
        difference=estimate.value,
        low=None if limits is None else limits[0],
        high=None if limits is None else limits[1],
        p_value=estimate.p_value,
        p_adjusted=p_adjusted,
        reason=estimate.reason,
        wins=int((better > 0).sum()),
        ties=int((better == 0).sum()),
        runs=len(pair.places),
        delong=delong(_mean(a.placed), _mean(b.placed), found.labels[0] == found.positive) if a.placed and b.placed else None,
        mcnemar=_mcnemar(question, found, a, b) if a.right and b.right else {},
    )


def _mcnemar(question: Question, found: Measured, a: Standing, b: Standing) -> dict[str, McNemar]:
    """Compare within each class which rows an arm got right in a larger share of its runs than the other: with one run, McNemar's own."""
    apart, labels = _mean(a.right) - _mean(b.right), found.labels[0]
    return {
        label: mcnemar(int((apart[labels == index] > 0).sum()), int((apart[labels == index] < 0).sum()))
        for index, label in enumerate(question.classes)
    }


def _mean(of_runs: Mapping[int, NDArray[Any] | float]) -> Floats:
    """Return the mean over runs, added up in the order of their places: to the last digit the same, whichever ended first."""
    return np.asarray(np.mean(np.array([of_runs[place] for place in sorted(of_runs)]), axis=0))


def _within(limits: tuple[float, float] | None, metric: StudyMetric) -> tuple[float, float] | None:
    """Cut an interval at the values a metric can have: it holds the truth as often as before."""
    if limits is None:
        return None
    low, high = RANGES.get(metric, (0.0, 1.0))
    return max(low, limits[0]), min(high, limits[1])
