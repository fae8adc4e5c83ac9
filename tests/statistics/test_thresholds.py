"""Choosing a threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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


def noisy(rows: int = 400, seed: int = 0) -> ScoreCounts:
    source = np.random.default_rng(seed)
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
    assert wilson_low(precision, called) >= 0.7
    lower = [precision_and_recall(counts, score)[0] for score in counts.scores if score < choice.value]
    assert max(lower) < precision
    assert recall > 0.2


def test_a_floor_of_recall_is_kept_with_its_margin_at_the_highest_threshold() -> None:
    counts = noisy()

    choice = choose_threshold(counts, RecallFloor(recall=0.9), 0.95)

    assert choice.value is not None
    positives = counts.rows[0]
    recall = precision_and_recall(counts, choice.value)[1]
    assert wilson_low(recall, positives) >= 0.9
    above = counts.scores[counts.scores > choice.value].min()
    assert wilson_low(precision_and_recall(counts, np.nextafter(above, 1))[1], positives) < 0.9


def wilson_low(share: float, rows: int) -> float:
    z = 1.6448536269514722
    return float((share + z**2 / (2 * rows) - z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))) / (1 + z**2 / rows))


@pytest.mark.parametrize("policy", [PrecisionFloor(precision=0.7), RecallFloor(recall=0.8)], ids=["precision", "recall"])
def test_a_floor_tells_its_margin_and_what_shares_alone_would_have_chosen(policy: PrecisionFloor | RecallFloor) -> None:
    counts = noisy()

    choice = choose_threshold(counts, policy, 0.95)

    assert choice.value is not None
    assert choice.floor is not None
    assert choice.floor.without_margin is not None
    of_precision = isinstance(policy, PrecisionFloor)
    floor = policy.precision if isinstance(policy, PrecisionFloor) else policy.recall
    precision, recall, called = precision_and_recall(counts, choice.value)
    share, rows = (precision, called) if of_precision else (recall, counts.rows[0])
    assert choice.floor.estimate == pytest.approx(share)
    assert choice.floor.low == pytest.approx(wilson_low(share, rows))
    assert precision_and_recall(counts, choice.floor.without_margin)[0 if of_precision else 1] >= floor
    # The margin costs: recall for a floor of precision, precision for one of recall.
    assert (choice.value > choice.floor.without_margin) == of_precision


def test_a_floor_that_no_sample_of_this_size_can_show_says_what_shares_alone_allow() -> None:
    counts = ranked(np.array([0.9, 0.8, 0.7, 0.6, 0.3, 0.2]), np.array([True, True, True, True, False, False]))

    for policy in (PrecisionFloor(precision=0.9), RecallFloor(recall=0.9)):
        choice = choose_threshold(counts, policy, 0.95)

        assert (choice.value, choice.reason) == (None, "infeasible_constraint")
        assert choice.floor is not None
        assert (choice.floor.estimate, choice.floor.low) == (None, None)
        assert choice.floor.without_margin == pytest.approx(0.45)


@given(st.integers(0, 10_000), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_higher_floor_never_loosens_the_threshold(seed: int, one: float, other: float) -> None:
    counts = noisy(rows=200, seed=seed)
    lower, higher = sorted((one, other))

    precise = [choose_threshold(counts, PrecisionFloor(precision=floor), 0.95).value for floor in (lower, higher)]
    complete = [choose_threshold(counts, RecallFloor(recall=floor), 0.95).value for floor in (lower, higher)]

    assert precise[1] is None or (precise[0] is not None and precise[0] <= precise[1])
    assert complete[1] is None or (complete[0] is not None and complete[0] >= complete[1])


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
