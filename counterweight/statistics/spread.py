"""How far a threshold chosen on few positive rows would move with other rows of the same kind."""

import numpy as np

from counterweight.contracts.evaluation import Fixed, MinCost, Spread, ThresholdChoice, ThresholdPolicy
from counterweight.statistics.bootstrap import MOST_UNDEFINED, generator
from counterweight.statistics.scores import ScoreCounts
from counterweight.statistics.thresholds import choose_threshold

FEW_POSITIVES = 30
"""From so many positive rows on, a threshold is told without its spread."""

DRAWS = 500
MOST_GROUPS = 2_000


def choose_with_spread(counts: ScoreCounts, policy: ThresholdPolicy, confidence: float) -> ThresholdChoice:
    """Return the threshold the policy asks for, and where few rows are positive its spread.

    A threshold that was given, or that follows from costs, is not chosen by the rows and has none.
    """
    choice = choose_threshold(counts, policy, confidence)
    if choice.value is None or isinstance(policy, Fixed | MinCost) or counts.rows[0] >= FEW_POSITIVES:
        return choice
    return choice.model_copy(update={"spread": _spread(_coarse(counts), policy, confidence)})


def _spread(counts: ScoreCounts, policy: ThresholdPolicy, confidence: float) -> Spread:
    """Return the percentile interval of the thresholds chosen on rows drawn anew, each row weighing its own Poisson number."""
    source = generator()
    found = [value for _ in range(DRAWS) if (value := choose_threshold(_drawn(counts, source), policy, confidence).value) is not None]
    if len(found) < (1 - MOST_UNDEFINED) * DRAWS:
        return Spread(low=None, high=None, reason="unstable")
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return Spread(low=low, high=high)


def _drawn(counts: ScoreCounts, source: np.random.Generator) -> ScoreCounts:
    positives, negatives = source.poisson(counts.positives), source.poisson(counts.negatives)
    drawn = positives + negatives > 0
    return ScoreCounts(counts.scores[drawn], positives[drawn], negatives[drawn])


def _coarse(counts: ScoreCounts) -> ScoreCounts:
    """Merge neighbours without positives, under their highest score, so that some 2,000 groups are left: every positive keeps its own."""
    is_hit = counts.positives > 0
    size = -(-len(counts.scores) // MOST_GROUPS)
    starts = np.flatnonzero(is_hit | np.concatenate([[True], is_hit[:-1]]) | (np.arange(len(is_hit)) % size == 0))
    positives, negatives = (np.add.reduceat(each, starts) for each in (counts.positives, counts.negatives))
    return ScoreCounts(counts.scores[starts], positives, negatives)
