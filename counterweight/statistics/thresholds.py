"""From which score on a row is called positive: chosen on the validation rows alone."""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import (
    BestBy,
    Fixed,
    Floor,
    MinCost,
    PrecisionFloor,
    RecallFloor,
    ThresholdChoice,
    ThresholdPolicy,
    TopK,
)
from counterweight.statistics.decisions import binary_metric
from counterweight.statistics.scores import ScoreCounts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BAYES = 0.5
"""Where the likelier class changes; the threshold when there is none to choose, and nearest to it wins among equals."""


def choose_threshold(counts: ScoreCounts, policy: ThresholdPolicy, confidence: float) -> ThresholdChoice:
    """Return the threshold the policy asks for, of the calibrated probabilities in `counts`.

    Candidates lie midway between neighbouring scores, below all (every row positive) and above all (none). Null with the reason where
    all scores are equal or a class is absent, for then no threshold is better than another, and where none keeps the constraint.
    """
    if isinstance(policy, Fixed):
        return ThresholdChoice(policy=policy.policy, value=policy.value)
    if isinstance(policy, MinCost):
        # A false alarm costs (1 - p) times its price and a miss p times its own: no search finds better on calibrated probabilities.
        return ThresholdChoice(policy=policy.policy, value=policy.false_positive / (policy.false_positive + policy.false_negative))
    reason = _why_none(counts)
    if reason is not None:
        return ThresholdChoice(policy=policy.policy, value=None, reason=reason)
    if isinstance(policy, BestBy):
        return _best(counts, policy)
    if isinstance(policy, TopK):
        return _top(counts, policy)
    return _at_floor(counts, policy, confidence)


def above_all(scores: Floats) -> float:
    """Return a threshold that no row reaches, given the falling scores."""
    return float(np.nextafter(max(1.0, scores[0]), np.inf))


def _why_none(counts: ScoreCounts) -> str | None:
    positives, negatives = counts.rows
    if positives == 0:
        return "no_positive"
    if negatives == 0:
        return "no_negative"
    return "constant_scores" if len(counts.scores) == 1 else None


def _candidates(scores: Floats) -> Floats:
    """Return one threshold above the falling scores, one between each two neighbours, and one below."""
    middle = scores[1:] + (scores[:-1] - scores[1:]) / 2
    # Between two neighbouring floats there is no third: the upper one separates them too.
    middle = np.where(middle > scores[1:], middle, scores[:-1])
    return np.concatenate([[above_all(scores)], middle, [0.0]])


def _best(counts: ScoreCounts, policy: BestBy) -> ThresholdChoice:
    """Return the candidate of the greatest worth; among equals the nearest to 0.5, then the lower."""
    candidates = _candidates(counts.scores)
    worth = binary_metric(counts.cells_of_steps(), policy.policy.removeprefix("max_"))
    best = np.flatnonzero(worth == np.nanmax(worth))
    distance = np.abs(candidates[best] - BAYES)
    nearest = best[distance == distance.min()]
    return ThresholdChoice(policy=policy.policy, value=float(candidates[nearest].min()), tied=len(best))


def _top(counts: ScoreCounts, policy: TopK) -> ThresholdChoice:
    """Return the lowest threshold that calls no more than k rows; there is none where more share the highest score, or k rows are not."""
    called = counts.cells_of_steps()[:, :, 1].sum(axis=-1)
    allowed = np.flatnonzero((called > 0) & (called <= policy.k)) if policy.k <= called[-1] else np.empty(0, np.int64)
    return _at_step(counts, policy, int(allowed[-1]) if len(allowed) else None)


def _at_floor(counts: ScoreCounts, policy: PrecisionFloor | RecallFloor, confidence: float) -> ThresholdChoice:
    """Return the threshold that keeps the floor for sure and gives most of what it leaves free.

    Steps call more and more rows positive: the last that keeps a floor of precision has the greatest recall, and the first that
    reaches a floor of recall is the most precise of those, or as good as.
    """
    cells = counts.cells_of_steps()[1:]  # With no row called there is neither precision nor recall.
    hits = cells[:, 1, 1]
    if isinstance(policy, PrecisionFloor):
        floor, rows, place = policy.precision, cells[:, :, 1].sum(axis=-1), -1
    else:
        floor, rows, place = policy.recall, cells[:, 1].sum(axis=-1), 0
    shares, low = hits / rows, _wilson_low(hits, rows, confidence)
    sure, found = np.flatnonzero(low >= floor), np.flatnonzero(shares >= floor)
    chosen = int(sure[place]) if len(sure) else None
    told = Floor(
        confidence=confidence,
        estimate=None if chosen is None else float(shares[chosen]),
        low=None if chosen is None else float(low[chosen]),
        without_margin=float(_candidates(counts.scores)[found[place] + 1]) if len(found) else None,
    )
    return _at_step(counts, policy, None if chosen is None else chosen + 1).model_copy(update={"floor": told})


def _at_step(counts: ScoreCounts, policy: ThresholdPolicy, step: int | None) -> ThresholdChoice:
    if step is None:
        return ThresholdChoice(policy=policy.policy, value=None, reason="infeasible_constraint")
    return ThresholdChoice(policy=policy.policy, value=float(_candidates(counts.scores)[step]))


def _wilson_low(hits: Ints, rows: Ints, confidence: float) -> Floats:
    """Return the one-sided lower Wilson limit of a share: below it the true share lies with a chance of 1 - confidence."""
    z2 = NormalDist().inv_cdf(confidence) ** 2
    share = hits / rows
    return np.asarray((share + z2 / (2 * rows) - np.sqrt(z2 * (share * (1 - share) + z2 / (4 * rows)) / rows)) / (1 + z2 / rows))
