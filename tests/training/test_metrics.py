"""Metrics against scikit-learn, and what is undefined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from workers.training import metrics
from workers.training.ranking import average_precision, ranked, roc_auc

tied_scores = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({is_positive for _, is_positive in rows}) == 2
)


@settings(deadline=None, max_examples=100)
@given(tied_scores)
def test_ranking_metrics_equal_scikit_learn_with_ties(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([float(score) for score, _ in rows]), np.array([label for _, label in rows])
    ranking = ranked(scores, labels)

    assert average_precision(ranking).value == pytest.approx(sklearn_metrics.average_precision_score(labels, scores), rel=1e-12)
    assert roc_auc(ranking).value == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores), rel=1e-12)


def test_probability_metrics_equal_scikit_learn() -> None:
    source = np.random.default_rng(0)
    labels = source.integers(0, 3, 200)
    probabilities = source.dirichlet([1, 1, 1], 200)
    yes = np.stack([1 - probabilities[:, 0], probabilities[:, 0]], axis=1)

    log_loss = metrics.log_losses(np.log(probabilities), labels).mean()
    several = metrics.brier_scores(np.log(probabilities), labels, None).mean()
    binary = metrics.brier_scores(np.log(yes), (labels == 0).astype(int), 1).mean()

    assert log_loss == pytest.approx(sklearn_metrics.log_loss(labels, probabilities), rel=1e-12)
    assert several == pytest.approx(((probabilities - np.eye(3)[labels]) ** 2).sum(axis=1).mean(), rel=1e-12)
    assert binary == pytest.approx(sklearn_metrics.brier_score_loss(labels == 0, probabilities[:, 0]), rel=1e-12)


def test_a_constant_score_has_the_prevalence_as_average_precision_and_half_the_area() -> None:
    ranking = ranked(np.full(5, 0.3), np.array([True, False, False, True, False]))

    assert (average_precision(ranking).value, roc_auc(ranking).value) == (0.4, 0.5)


@pytest.mark.parametrize(("labels", "reason"), [([0, 0], "no_positive"), ([1, 1], "no_negative")])
def test_ranking_one_class_is_undefined(labels: list[int], reason: str) -> None:
    metric = roc_auc(ranked(np.array([0.1, 0.2]), np.array(labels) == 1))

    assert (metric.value, metric.reason) == (None, reason)
