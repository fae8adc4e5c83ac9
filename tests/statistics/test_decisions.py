"""Metrics of decisions against scikit-learn, and what is undefined."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from counterweight.statistics import decisions


def confusion(true: np.ndarray, called: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(true * classes + called, minlength=classes * classes).reshape(classes, classes)


@pytest.mark.parametrize("classes", [2, 4])
def test_decision_metrics_equal_scikit_learn(classes: int) -> None:
    source = np.random.default_rng(0)
    true, called = source.integers(0, classes, 500), source.integers(0, classes, 500)

    measured = decisions.decision_metrics(confusion(true, called, classes))

    expected = {
        "accuracy": sklearn_metrics.accuracy_score(true, called),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(true, called),
        "mcc": sklearn_metrics.matthews_corrcoef(true, called),
        "kappa": sklearn_metrics.cohen_kappa_score(true, called),
        "g_mean": np.prod(sklearn_metrics.recall_score(true, called, average=None)) ** (1 / classes),
    }
    assert {name: float(value) for name, value in measured.items()} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_class_metrics_equal_scikit_learn(classes: int) -> None:
    source = np.random.default_rng(0)
    true, called = source.integers(0, classes, 500), source.integers(0, classes, 500)

    measured = decisions.class_metrics(confusion(true, called, classes))

    expected = {
        "f1": sklearn_metrics.f1_score(true, called, average=None),
        "precision": sklearn_metrics.precision_score(true, called, average=None),
        "recall": sklearn_metrics.recall_score(true, called, average=None),
        "specificity": [sklearn_metrics.recall_score(true == each, called == each, pos_label=False) for each in range(classes)],
    }
    for name, value in measured.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-12, err_msg=name)


def test_one_formula_serves_many_confusions_at_once() -> None:
    many = np.random.default_rng(0).integers(0, 9, (20, 3, 3))

    together = decisions.class_metrics(many) | decisions.decision_metrics(many)

    for index, cells in enumerate(many):
        for name, value in (decisions.class_metrics(cells) | decisions.decision_metrics(cells)).items():
            np.testing.assert_allclose(together[name][index], value, rtol=1e-14)


@pytest.mark.parametrize("positive", [0, 1])
def test_measuring_two_classes_gives_every_metric_its_interval(positive: int) -> None:
    cells = np.array([[80, 20], [5, 25]])

    measured = decisions.measured(cells, positive, 0.95)

    ordered = cells if positive == 1 else cells[::-1, ::-1]
    assert {name: metric.value for name, metric in measured.items()} == pytest.approx(
        {name: float(value) for name, value in decisions.binary_metrics(ordered).items()}
    )
    assert all(metric.low is not None and metric.high is not None for metric in measured.values())


def test_one_metric_alone_is_what_it_is_among_all() -> None:
    cells = np.random.default_rng(0).integers(0, 9, size=(50, 2, 2))

    for name, value in decisions.binary_metrics(cells).items():
        assert np.array_equal(decisions.binary_metric(cells, name), value, equal_nan=True)


@pytest.mark.parametrize(
    ("cells", "reasons"),
    [
        ([[3, 1], [0, 0]], {"recall": "no_positive", "mcc": "no_positive", "g_mean": "no_positive", "kappa": "no_positive"}),
        ([[4, 0], [0, 0]], {"f1": "zero_denominator", "precision": "no_predicted_positive", "recall": "no_positive"}),
        ([[0, 0], [1, 3]], {"specificity": "no_negative", "mcc": "no_negative", "balanced_accuracy": "no_negative"}),
        ([[4, 0], [3, 0]], {"precision": "no_predicted_positive", "mcc": "no_predicted_positive"}),
        ([[0, 4], [0, 3]], {"mcc": "zero_denominator"}),
    ],
)
def test_what_is_undefined_of_two_classes_says_why(cells: list[list[int]], reasons: dict[str, str]) -> None:
    found = decisions.measured(np.array(cells), 1, 0.95)

    for name, reason in reasons.items():
        assert (found[name].value, found[name].reason) == (None, reason)


def test_a_class_never_found_makes_the_geometric_mean_nought() -> None:
    assert decisions.measured(np.array([[9, 0], [9, 0]]), 1, 0.95)["g_mean"].value == 0


def test_no_correlation_is_rounded_beyond_1() -> None:
    one, other = np.arange(1, 300)[:, None], np.arange(1, 300)[None, :]
    perfect = np.zeros((299, 299, 2, 2))
    perfect[..., 0, 0], perfect[..., 1, 1] = one, other

    found = decisions.decision_metrics(np.concatenate([perfect, perfect[..., ::-1]]))["mcc"]

    assert np.abs(found).max() == 1.0
