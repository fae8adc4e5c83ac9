"""How far a threshold would move with other rows."""

import numpy as np
import pytest

from counterweight.contracts.evaluation import BestBy, Fixed, MinCost, PrecisionFloor, RecallFloor, ThresholdPolicy, TopK
from counterweight.statistics import spread
from counterweight.statistics.scores import ScoreCounts
from counterweight.statistics.spread import choose_with_spread
from counterweight.statistics.thresholds import choose_threshold
from workers.training.ranking import ranked


def rows(positives: int, negatives: int = 400, seed: int = 0, apart: float = 2.0) -> ScoreCounts:
    source = np.random.default_rng(seed)
    labels = np.arange(positives + negatives) < positives
    return ranked(1 / (1 + np.exp(-source.normal(size=len(labels)) - apart * labels + 1)), labels)


@pytest.mark.parametrize(("positives", "is_told"), [(29, True), (30, False)])
def test_a_threshold_chosen_on_few_positives_has_its_spread(positives: int, is_told: bool) -> None:
    choice = choose_with_spread(rows(positives), BestBy(), 0.95)

    assert (choice.spread is not None) == is_told
    assert choice.value == choose_threshold(rows(positives), BestBy(), 0.95).value


@pytest.mark.parametrize("policy", [Fixed(value=0.4), MinCost(false_negative=3, false_positive=1)])
def test_what_rows_did_not_choose_has_no_spread(policy: ThresholdPolicy) -> None:
    assert choose_with_spread(rows(10), policy, 0.95).spread is None


@pytest.mark.parametrize("policy", [BestBy(), BestBy(policy="max_mcc"), RecallFloor(recall=0.5), TopK(k=20)])
def test_the_spread_is_about_that_of_other_samples(policy: ThresholdPolicy) -> None:
    # Of any one sample it may be off by half; on average over samples it must not.
    widths = []
    for seed in range(20):
        told = choose_with_spread(rows(25, seed=seed), policy, 0.9).spread
        assert told is not None
        assert told.low is not None
        assert told.high is not None
        widths.append(told.high - told.low)
    found = [choose_threshold(rows(25, seed=seed), policy, 0.9).value for seed in range(100, 400)]
    low, high = np.quantile([value for value in found if value is not None], [0.05, 0.95])

    assert 0.6 < np.mean(widths) / (high - low) < 1.5


def test_a_spread_that_hardly_any_draw_has_is_null_with_the_reason() -> None:
    counts = rows(20, apart=3.0)
    floor = next(each for each in np.linspace(0.95, 0.3, 200) if choose_threshold(counts, PrecisionFloor(precision=each), 0.95).value)

    told = choose_with_spread(counts, PrecisionFloor(precision=floor), 0.95).spread

    assert told is not None
    assert (told.low, told.high, told.reason) == (None, None, "unstable")


def test_merging_negatives_moves_no_threshold_that_lies_beside_a_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = rows(20, negatives=3000)
    monkeypatch.setattr(spread, "MOST_GROUPS", 300)

    coarse = spread._coarse(counts)

    assert len(coarse.scores) < 400
    assert coarse.rows == counts.rows
    for policy in (BestBy(), BestBy(policy="max_mcc"), BestBy(policy="max_balanced_accuracy"), RecallFloor(recall=0.5)):
        assert choose_threshold(coarse, policy, 0.95).value == choose_threshold(counts, policy, 0.95).value


def test_the_spread_does_not_change_from_call_to_call() -> None:
    assert choose_with_spread(rows(20), BestBy(), 0.95) == choose_with_spread(rows(20), BestBy(), 0.95)
