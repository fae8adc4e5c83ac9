"""Choosing a threshold."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef

from counterweight.contracts.evaluation import BestBy, Fixed, MinCost, PrecisionFloor, RecallFloor, TopK
from counterweight.statistics.scores import ScoreCounts
from counterweight.statistics.thresholds import choose_threshold
from workers.training.ranking import ranked


@pytest.mark.parametrize(
    ("policy", "metric"),
    [("max_f1", f1_score), ("max_mcc", matthews_corrcoef), ("max_balanced_accuracy", balanced_accuracy_score)],
)
def test_no_other_threshold_is_better(policy: str, metric) -> None:  # type: ignore[no-untyped-def]  # scikit-learn has no types.
    source = np.random.default_rng(0)
    labels = source.random(300) < 0.2
    scores = np.round(1 / (1 + np.exp(-source.normal(size=300) - 1.5 * labels)), 2)

    value = choose_threshold(ranked(scores, labels), BestBy.model_validate({"policy": policy}), 0.95).value

    assert value is not None
    best = max(metric(labels, scores >= candidate) for candidate in np.linspace(0.005, 1.005, 101))
    assert metric(labels, scores >= value) == pytest.approx(best)


def test_the_threshold_lies_midway_between_scores() -> None:
    ranking = ranked(np.array([0.2, 0.4, 0.8, 0.9]), np.array([False, False, True, True]))

    assert choose_threshold(ranking, BestBy(), 0.95).value == pytest.approx(0.6)


def test_among_equals_the_nearest_to_a_half_wins() -> None:
    # One positive at .1 and one at .9: calling all or only the upper positive has the same balanced accuracy as its mirror.
    ranking = ranked(np.array([0.1, 0.3, 0.45, 0.9]), np.array([True, False, False, True]))

    first = choose_threshold(ranking, BestBy(policy="max_balanced_accuracy"), 0.95)

    assert first.value == pytest.approx(0.675)


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.3
    ranking = ranked(np.array([low, np.nextafter(low, 1)]), np.array([False, True]))

    assert choose_threshold(ranking, BestBy(), 0.95).value == np.nextafter(low, 1)


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        ([0.5, 0.5], [True, False], "constant_scores"),
        ([0.1, 0.2], [False, False], "no_positive"),
        ([0.1, 0.2], [True, True], "no_negative"),
    ],
)
def test_where_no_threshold_is_better_there_is_none(scores: list[float], labels: list[bool], reason: str) -> None:
    choice = choose_threshold(ranked(np.array(scores), np.array(labels)), BestBy(), 0.95)

    assert (choice.value, choice.reason) == (None, reason)


def test_a_fixed_threshold_is_taken_as_it_is() -> None:
    assert choose_threshold(ranked(np.array([0.5, 0.5]), np.array([True, False])), Fixed(value=0.3), 0.95).value == 0.3


def noisy(rows: int = 400) -> ScoreCounts:
    source = np.random.default_rng(0)
    labels = source.random(rows) < 0.3
    return ranked(np.round(1 / (1 + np.exp(-source.normal(size=rows) - 2 * labels)), 2), labels)


def precision_and_recall(counts: ScoreCounts, threshold: float) -> tuple[float, float, int]:
    cells = counts.cells_at(threshold)
    return cells[1, 1] / max(1, cells[:, 1].sum()), cells[1, 1] / cells[1].sum(), int(cells[:, 1].sum())


def test_a_floor_of_precision_is_kept_with_its_margin_and_the_recall_is_the_greatest() -> None:
    counts = noisy()

    choice = choose_threshold(counts, PrecisionFloor(precision=0.7), 0.95)

    assert choice.value is not None
    precision, recall, called = precision_and_recall(counts, choice.value)
    z = 1.6448536269514722
    centre, spread = precision + z**2 / (2 * called), z * np.sqrt(precision * (1 - precision) / called + z**2 / (4 * called**2))
    assert (centre - spread) / (1 + z**2 / called) >= 0.7
    lower = [precision_and_recall(counts, score)[0] for score in counts.scores if score < choice.value]
    assert max(lower) < precision
    assert recall > 0.2


def test_a_floor_of_recall_is_reached_at_the_highest_threshold() -> None:
    counts = noisy()

    choice = choose_threshold(counts, RecallFloor(recall=0.9), 0.95)

    assert choice.value is not None
    assert precision_and_recall(counts, choice.value)[1] >= 0.9
    above = counts.scores[counts.scores > choice.value].min()
    assert precision_and_recall(counts, np.nextafter(above, 1))[1] < 0.9


def test_the_cheapest_threshold_needs_no_search() -> None:
    choice = choose_threshold(noisy(), MinCost(false_negative=9, false_positive=1), 0.95)

    assert choice.value == pytest.approx(0.1)


def test_calibrated_probabilities_cost_least_at_that_threshold() -> None:
    source = np.random.default_rng(1)
    scores = np.round(source.random(200_000), 2)
    counts = ranked(scores, source.random(200_000) < scores)

    choice = choose_threshold(counts, MinCost(false_negative=4, false_positive=1), 0.95)

    assert choice.value is not None
    cells = counts.cells_of_steps()
    costs = 4 * cells[:, 1, 0] + cells[:, 0, 1]
    chosen = counts.cells_at(choice.value)
    assert 4 * chosen[1, 0] + chosen[0, 1] <= 1.001 * costs.min()


@pytest.mark.parametrize("k", [1, 50, 400])
def test_the_top_k_are_called_and_fewer_where_scores_tie(k: int) -> None:
    counts = noisy()

    choice = choose_threshold(counts, TopK(k=k), 0.95)

    sizes = np.cumsum(counts.positives + counts.negatives)
    if sizes[0] > k:
        assert (choice.value, choice.reason) == (None, "infeasible_constraint")
    else:
        assert choice.value is not None
        assert precision_and_recall(counts, choice.value)[2] == sizes[sizes <= k].max()


@pytest.mark.parametrize("policy", [PrecisionFloor(precision=0.999), TopK(k=401)], ids=["precision", "top_k"])
def test_a_constraint_that_none_keeps_is_told(policy: PrecisionFloor | TopK) -> None:
    choice = choose_threshold(noisy(), policy, 0.95)

    assert (choice.value, choice.reason) == (None, "infeasible_constraint")


def test_ties_between_thresholds_are_counted() -> None:
    # Calling none, the upper two or all: each has a balanced accuracy of a half.
    ranking = ranked(np.array([0.2, 0.4, 0.6, 0.8]), np.array([True, False, True, False]))

    choice = choose_threshold(ranking, BestBy(policy="max_balanced_accuracy"), 0.95)

    assert choice.tied == 3
    assert choice.value == pytest.approx(0.5)
    assert choose_threshold(noisy(), BestBy(), 0.95).tied == 1


def test_cells_at_a_threshold_count_rows_at_least_as_high() -> None:
    counts = noisy()

    for threshold in [0.0, *counts.scores, *np.nextafter(counts.scores, 1), 2.0]:
        called = counts.scores >= threshold
        positives, negatives = counts.positives, counts.negatives
        expected = [[negatives[~called].sum(), negatives[called].sum()], [positives[~called].sum(), positives[called].sum()]]
        assert counts.cells_at(threshold).tolist() == expected
