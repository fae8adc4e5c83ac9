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


@pytest.mark.parametrize("classes", [2, 4])
def test_decision_metrics_equal_scikit_learn(classes: int) -> None:
    source = np.random.default_rng(0)
    true, called = source.integers(0, classes, 500), source.integers(0, classes, 500)
    cells = metrics.confusion(true, called, classes)

    measured = metrics.decision_metrics(cells) | metrics.macro_metrics(cells)

    expected = {
        "accuracy": sklearn_metrics.accuracy_score(true, called),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, called),
        "mcc": sklearn_metrics.matthews_corrcoef(true, called),
        "kappa": sklearn_metrics.cohen_kappa_score(true, called),
        "g_mean": np.prod(sklearn_metrics.recall_score(true, called, average=None)) ** (1 / classes),
        "macro_f1": sklearn_metrics.f1_score(true, called, average="macro"),
        "macro_precision": sklearn_metrics.precision_score(true, called, average="macro"),
        "macro_recall": sklearn_metrics.recall_score(true, called, average="macro"),
    }
    assert {name: float(value) for name, value in measured.items()} == pytest.approx(expected, rel=1e-12)


def test_metrics_of_the_positive_class_equal_scikit_learn() -> None:
    source = np.random.default_rng(0)
    true, called = source.integers(0, 2, 500), source.integers(0, 2, 500)

    measured = metrics.yes_metrics(metrics.one_against_rest(metrics.confusion(true, called, 2), 0))

    expected = {
        "f1": sklearn_metrics.f1_score(true, called, pos_label=0),
        "precision": sklearn_metrics.precision_score(true, called, pos_label=0),
        "recall": sklearn_metrics.recall_score(true, called, pos_label=0),
        "specificity": sklearn_metrics.recall_score(true, called, pos_label=1),
    }
    assert {name: float(value) for name, value in measured.items()} == pytest.approx(expected, rel=1e-12)


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


def test_one_formula_serves_many_confusions_at_once() -> None:
    many = np.random.default_rng(0).integers(0, 9, (20, 3, 3))

    together = metrics.macro_metrics(many) | metrics.decision_metrics(many)

    for index, cells in enumerate(many):
        alone = metrics.macro_metrics(cells) | metrics.decision_metrics(cells)
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][index], value, rtol=1e-14)


def test_a_constant_score_has_the_prevalence_as_average_precision_and_half_the_area() -> None:
    ranking = ranked(np.full(5, 0.3), np.array([True, False, False, True, False]))

    assert (average_precision(ranking).value, roc_auc(ranking).value) == (0.4, 0.5)


@pytest.mark.parametrize(
    ("cells", "reasons"),
    [
        ([[3, 1], [0, 0]], {"recall": "no_positive", "mcc": "no_positive", "balanced_accuracy": "no_positive"}),
        ([[4, 0], [0, 0]], {"f1": "zero_denominator", "precision": "no_predicted_positive", "recall": "no_positive"}),
        ([[0, 0], [1, 3]], {"specificity": "no_negative", "mcc": "no_negative", "balanced_accuracy": "no_negative"}),
        ([[4, 0], [3, 0]], {"precision": "no_predicted_positive", "mcc": "no_predicted_positive"}),
        ([[0, 4], [0, 3]], {"mcc": "zero_denominator"}),
    ],
)
def test_what_is_undefined_of_two_classes_says_why(cells: list[list[int]], reasons: dict[str, str]) -> None:
    found = metrics.points(metrics.binary_metrics(np.array(cells, dtype=float)), np.array(cells), ("no", "yes"))

    for name, reason in reasons.items():
        assert (found[name].value, found[name].reason) == (None, reason)


def test_an_absent_class_makes_the_macro_metrics_null_by_name() -> None:
    cells = np.array([[1, 1, 0], [0, 2, 1], [0, 0, 0]])

    found = metrics.points(metrics.macro_metrics(cells) | metrics.decision_metrics(cells), cells, ("x", "y", "z"))

    absent = {name for name, metric in found.items() if metric.reason == "class_absent:z"}
    assert absent == {"macro_f1", "macro_recall", "balanced_accuracy", "g_mean", "kappa"}
    assert found["accuracy"].value == pytest.approx(0.6)


@pytest.mark.parametrize(("labels", "reason"), [([0, 0], "no_positive"), ([1, 1], "no_negative")])
def test_ranking_one_class_is_undefined(labels: list[int], reason: str) -> None:
    metric = roc_auc(ranked(np.array([0.1, 0.2]), np.array(labels) == 1))

    assert (metric.value, metric.reason) == (None, reason)
