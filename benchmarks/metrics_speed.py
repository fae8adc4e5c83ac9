"""Average precision and AUROC of a million rows beside scikit-learn's, and 1,000 bootstrap draws of both for 100,000 rows."""

import statistics
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.figures import Figure, at_most
from counterweight.statistics.bootstrap import generator
from workers.training.intervals import ranking_draws
from workers.training.ranking import average_precision, ranked, roc_auc

ROUNDS = 5
POSITIVE = 0.02


def measure() -> list[Figure]:
    scores, is_positive = _predictions(1_000_000)

    def ours() -> tuple[float | None, float | None]:
        ranking = ranked(scores, is_positive)
        return average_precision(ranking).value, roc_auc(ranking).value

    def theirs() -> tuple[float, float]:
        return float(average_precision_score(is_positive, scores)), float(roc_auc_score(is_positive, scores))

    for our_value, their_value in zip(ours(), theirs(), strict=True):
        assert our_value is not None
        assert abs(our_value - their_value) < 1e-12
    our_s, their_s = _medians([ours, theirs])
    ranking = ranked(*_predictions(100_000))
    (draws_s,) = _medians([lambda: ranking_draws(ranking, generator())])
    return [
        Figure("AP and AUROC of 1M rows, s", f"{our_s:.3f}", f"scikit-learn {their_s:.3f}", their_s / our_s, 5.0),
        at_most("1,000 draws of AP and AUROC, 100k rows", draws_s, 0.5, "s"),
    ]


def _predictions(rows: int) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    source = np.random.default_rng(0)
    is_positive = source.random(rows) < POSITIVE
    return source.normal(size=rows) + 1.5 * is_positive, is_positive


def _medians(arms: list[Callable[[], object]]) -> list[float]:
    seconds: list[list[float]] = [[] for _ in arms]
    for _ in range(ROUNDS):
        for arm, taken in zip(arms, seconds, strict=True):
            started = time.perf_counter()
            arm()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in seconds]
