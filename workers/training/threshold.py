"""From which score on a row is called positive: chosen on the validation rows alone."""

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import BestBy, Fixed, ThresholdChoice
from workers.training.metrics import binary_metrics
from workers.training.ranking import Ranking

BAYES = 0.5
"""Where the likelier class changes; the threshold when there is none to choose, and nearest to it wins among equals."""


def choose_threshold(ranking: Ranking, policy: BestBy | Fixed) -> ThresholdChoice:
    """Return the threshold the policy asks for, of the probabilities in `ranking`.

    Candidates lie midway between neighbouring scores, below all (every row positive) and above all (none). Among equally good ones
    the nearest to 0.5 wins, then the lower. Null where all scores are equal or a class is absent: no threshold is better than another.
    """
    if isinstance(policy, Fixed):
        return ThresholdChoice(policy=policy.policy, value=policy.value)
    reason = _why_none(ranking)
    if reason is not None:
        return ThresholdChoice(policy=policy.policy, value=None, reason=reason)
    candidates = _candidates(ranking.scores)
    worth = binary_metrics(_cells(ranking))[policy.policy.removeprefix("max_")]
    best = np.flatnonzero(worth == np.nanmax(worth))
    distance = np.abs(candidates[best] - BAYES)
    nearest = best[distance == distance.min()]
    return ThresholdChoice(policy=policy.policy, value=float(candidates[nearest].min()))


def _why_none(ranking: Ranking) -> str | None:
    positives, negatives = ranking.rows
    if positives == 0:
        return "no_positive"
    if negatives == 0:
        return "no_negative"
    return "constant_scores" if len(ranking.scores) == 1 else None


def _candidates(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one threshold above the falling scores, one between each two neighbours, and one below."""
    middle = scores[1:] + (scores[:-1] - scores[1:]) / 2
    # Between two neighbouring floats there is no third: the upper one separates them too.
    middle = np.where(middle > scores[1:], middle, scores[:-1])
    return np.concatenate([[above_all(scores)], middle, [0.0]])


def above_all(scores: NDArray[np.float64]) -> float:
    """Return a threshold that no row reaches, given the falling scores."""
    return float(np.nextafter(max(1.0, scores[0]), np.inf))


def _cells(ranking: Ranking) -> NDArray[np.float64]:
    """Return the confusion cells (G + 1, 2, 2) of each candidate."""
    hit = np.concatenate([[0], np.cumsum(ranking.positives)])
    false = np.concatenate([[0], np.cumsum(ranking.negatives)])
    positives, negatives = ranking.rows
    cells = np.stack([negatives - false, false, positives - hit, hit], axis=-1).astype(np.float64)
    return cells.reshape(-1, 2, 2)
