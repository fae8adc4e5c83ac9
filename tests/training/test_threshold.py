"""Choosing a threshold."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef

from counterweight.contracts.evaluation import BestBy, Fixed
from workers.training.ranking import ranked
from workers.training.threshold import choose_threshold


@pytest.mark.parametrize(
    ("policy", "metric"),
    [("max_f1", f1_score), ("max_mcc", matthews_corrcoef), ("max_balanced_accuracy", balanced_accuracy_score)],
)
def test_no_other_threshold_is_better(policy: str, metric) -> None:  # type: ignore[no-untyped-def]  # scikit-learn has no types.
    source = np.random.default_rng(0)
    labels = source.random(300) < 0.2
    scores = np.round(1 / (1 + np.exp(-source.normal(size=300) - 1.5 * labels)), 2)

    value = choose_threshold(ranked(scores, labels), BestBy.model_validate({"policy": policy})).value

    assert value is not None
    best = max(metric(labels, scores >= candidate) for candidate in np.linspace(0.005, 1.005, 101))
    assert metric(labels, scores >= value) == pytest.approx(best)


def test_the_threshold_lies_midway_between_scores() -> None:
    ranking = ranked(np.array([0.2, 0.4, 0.8, 0.9]), np.array([False, False, True, True]))

    assert choose_threshold(ranking, BestBy()).value == pytest.approx(0.6)


def test_among_equals_the_nearest_to_a_half_wins() -> None:
    # One positive at .1 and one at .9: calling all or only the upper positive has the same balanced accuracy as its mirror.
    ranking = ranked(np.array([0.1, 0.3, 0.45, 0.9]), np.array([True, False, False, True]))

    first = choose_threshold(ranking, BestBy(policy="max_balanced_accuracy"))

    assert first.value == pytest.approx(0.675)


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.3
    ranking = ranked(np.array([low, np.nextafter(low, 1)]), np.array([False, True]))

    assert choose_threshold(ranking, BestBy()).value == np.nextafter(low, 1)


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        ([0.5, 0.5], [True, False], "constant_scores"),
        ([0.1, 0.2], [False, False], "no_positive"),
        ([0.1, 0.2], [True, True], "no_negative"),
    ],
)
def test_where_no_threshold_is_better_there_is_none(scores: list[float], labels: list[bool], reason: str) -> None:
    choice = choose_threshold(ranked(np.array(scores), np.array(labels)), BestBy())

    assert (choice.value, choice.reason) == (None, reason)


def test_a_fixed_threshold_is_taken_as_it_is() -> None:
    assert choose_threshold(ranked(np.array([0.5, 0.5]), np.array([True, False])), Fixed(value=0.3)).value == 0.3
