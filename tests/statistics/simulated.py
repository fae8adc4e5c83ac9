"""Simulated runs whose true differences are known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.losses import BalancedSoftmax, CrossEntropy, Focal, Ldam, Poly
from counterweight.contracts.studies import Arm, StudyMetric
from counterweight.statistics.measured import Question, Run
from counterweight.statistics.outcomes import Outcome

LOSSES = (CrossEntropy(), Focal(), BalancedSoftmax(), Poly(), Ldam())
ARMS = [Arm(arm=loss.kind, loss=loss) for loss in LOSSES]


def question(
    arms: int = 2, metric: StudyMetric = "average_precision", minimum_difference: float = 0.01, folds: int | None = None
) -> Question:
    many = [Arm(arm=f"arm {index}", loss=LOSSES[index % 5]) for index in range(arms)] if arms > len(ARMS) else ARMS[:arms]
    return Question(
        metric=metric,
        goal="min" if metric in ("log_loss", "brier", "ece") else "max",
        minimum_difference=minimum_difference,
        classes=("no", "yes"),
        rarest=1,
        arms=many,
        job_ids=[[f"job_{index}"] for index in range(arms)],
        folds=folds,
    )


def runs(
    strengths: Sequence[float],
    *,
    rows: int = 400,
    seeds: int = 5,
    share: float = 0.2,
    own: float = 0.3,
    between: float = 0.02,
    seed: int = 0,
    folds: int | None = None,
) -> list[Run]:
    """Runs of arms that see the class with these strengths, besides what all share, noise of their own, and luck of the seed."""
    source = np.random.default_rng(seed)
    found = []
    parts = [(source.random(rows) < share, source.normal(size=rows)) for _ in range(folds or 1)]
    for arm, strength in enumerate(strengths):
        for place in range(seeds * (folds or 1)):
            is_positive, common = parts[place % (folds or 1)]
            score = (strength + between * source.normal()) * is_positive + common + own * source.normal(size=rows)
            found.append(Run(arm, place, outcome(is_positive, score), 0.01))
    return found


def outcome(is_positive: NDArray[np.bool_], score: NDArray[np.float64]) -> Outcome:
    odds = score - 2
    chance = 1 / (1 + np.exp(-odds))
    return Outcome(
        rows=np.arange(len(score)),
        labels=is_positive.astype(np.int64),
        decisions=(odds > 0).astype(np.int64),
        probabilities=np.stack([1 - chance, chance], axis=1),
        scores=np.stack([-odds, odds], axis=1),
        positive=1,
    )
