"""The curves of one class against the rest: small enough to draw, exact at their ends."""

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import CalibrationCurve, Curves, PrecisionRecallCurve, RocCurve, ScoreHistogram
from counterweight.statistics.binning import equal_mass
from counterweight.statistics.thresholds import above_all
from workers.training.ranking import Ranking, ranked
from workers.training.reliability import bins_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Truths = NDArray[np.bool_]

MOST_CURVE_POINTS, FEWEST_CURVE_POINTS = 1000, 25
HISTOGRAM_BINS = 50


def most_points(classes: int) -> int:
    """Return how many points a curve may have: all curves of many classes together stay within what three have."""
    return min(MOST_CURVE_POINTS, max(FEWEST_CURVE_POINTS, 3 * MOST_CURVE_POINTS // classes))


def class_curves(probabilities: Floats, is_positive: Truths, most: int = MOST_CURVE_POINTS) -> Curves:
    """Return the curves of the rows' probabilities (N,) of being positive, in at most `most` points."""
    ranking = ranked(probabilities, is_positive)
    kept = _kept(ranking, most - 1)  # The ROC curve has one more.
    return Curves(
        precision_recall=_precision_recall(ranking, kept),
        roc=_roc(ranking, kept),
        calibration=_calibration(probabilities, is_positive),
        score_histogram=_histogram(probabilities, is_positive),
    )


def _kept(ranking: Ranking, most: int) -> Ints:
    """Return the places of the distinct scores to show: all, or half of them evenly over recall and half evenly over ranks.

    With a rare class most of what happens lies in the few ranks that hold its rows.
    """
    groups = len(ranking.scores)
    if groups <= most:
        return np.arange(groups)
    hits = np.flatnonzero(ranking.positives)
    by_recall = hits[_evenly(len(hits), most // 2)] if len(hits) else hits
    return np.unique(np.concatenate([by_recall, _evenly(groups, most - len(by_recall))]))


def _evenly(count: int, wanted: int) -> Ints:
    """Return up to `wanted` of the numbers under `count`, with both ends."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def _precision_recall(ranking: Ranking, kept: Ints) -> PrecisionRecallCurve | None:
    positives, _ = ranking.rows
    if positives == 0:
        return None
    hits, false = np.cumsum(ranking.positives), np.cumsum(ranking.negatives)
    return PrecisionRecallCurve(
        thresholds=ranking.scores[kept].tolist(),
        precision=(hits / (hits + false))[kept].tolist(),
        recall=(hits / positives)[kept].tolist(),
    )


def _roc(ranking: Ranking, kept: Ints) -> RocCurve | None:
    positives, negatives = ranking.rows
    if positives == 0 or negatives == 0:
        return None
    return RocCurve(
        thresholds=[above_all(ranking.scores), *ranking.scores[kept].tolist()],
        true_positive_rate=[0.0, *(np.cumsum(ranking.positives) / positives)[kept].tolist()],
        false_positive_rate=[0.0, *(np.cumsum(ranking.negatives) / negatives)[kept].tolist()],
    )


def _calibration(probabilities: Floats, is_positive: Truths) -> CalibrationCurve:
    bins = bins_of(probabilities, is_positive, equal_mass(probabilities))
    return CalibrationCurve(
        predicted=(bins.predicted / bins.rows).tolist(), observed=(bins.observed / bins.rows).tolist(), counts=bins.rows.tolist()
    )


def _histogram(probabilities: Floats, is_positive: Truths) -> ScoreHistogram:
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    positives, _ = np.histogram(probabilities[is_positive], edges)
    negatives, _ = np.histogram(probabilities[~is_positive], edges)
    return ScoreHistogram(edges=edges.tolist(), positives=positives.tolist(), negatives=negatives.tolist())
