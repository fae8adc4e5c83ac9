"""The curves of a class against the rest."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from counterweight.contracts.evaluation import Curves
from counterweight.statistics.decisions import binary_metrics
from workers.training.curves import MOST_CURVE_POINTS, class_curves


def noisy(rows: int, share: float, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(0)
    is_positive = source.random(rows) < share
    return np.round(1 / (1 + np.exp(2 - source.normal(size=rows) - 2 * is_positive)), digits), is_positive


def both(curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    assert curves.precision_recall is not None
    assert curves.roc is not None
    recall = np.stack([curves.precision_recall.recall, curves.precision_recall.precision])
    return recall, np.stack([curves.roc.false_positive_rate, curves.roc.true_positive_rate])


def test_short_curves_equal_scikit_learn_s() -> None:
    scores, is_positive = noisy(500, 0.2)

    (recall, precision), (false, true) = both(class_curves(scores, is_positive))

    expected_precision, expected_recall, _ = precision_recall_curve(is_positive, scores)
    expected_false, expected_true, _ = roc_curve(is_positive, scores, drop_intermediate=False)
    # scikit-learn ends at an invented point of precision 1 and recall 0, and goes on under the last positive.
    np.testing.assert_allclose(recall, expected_recall[:-1][::-1])
    np.testing.assert_allclose(precision, expected_precision[:-1][::-1])
    np.testing.assert_allclose(false, expected_false)
    np.testing.assert_allclose(true, expected_true)


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    scores, is_positive = noisy(50_000, 0.01, digits=9)

    found = class_curves(scores, is_positive)

    (recall, precision), (false, true) = both(found)
    assert found.precision_recall is not None
    assert MOST_CURVE_POINTS / 2 < len(recall) < len(false) <= MOST_CURVE_POINTS
    assert found.precision_recall.thresholds == sorted(found.precision_recall.thresholds, reverse=True)
    assert (found.precision_recall.thresholds[0], found.precision_recall.thresholds[-1]) == (scores.max(), scores.min())
    assert (recall[-1], precision[-1]) == (1, is_positive.mean())
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


def test_a_thinned_curve_of_a_rare_class_has_the_area_of_the_whole() -> None:
    scores, is_positive = noisy(50_000, 0.01, digits=9)

    (recall, precision), (false, true) = both(class_curves(scores, is_positive))

    whole_precision, whole_recall, _ = precision_recall_curve(is_positive, scores)
    assert np.trapezoid(precision, recall) == pytest.approx(-np.trapezoid(whole_precision[:-1], whole_recall[:-1]), abs=2e-3)
    whole_false, whole_true, _ = roc_curve(is_positive, scores)
    assert np.trapezoid(true, false) == pytest.approx(np.trapezoid(whole_true, whole_false), abs=5e-4)


def test_the_roc_curve_gives_the_confusion_at_each_threshold() -> None:
    scores, is_positive = noisy(300, 0.3)

    curve = class_curves(scores, is_positive).roc

    assert curve is not None
    for threshold, true, false in zip(curve.thresholds, curve.true_positive_rate, curve.false_positive_rate, strict=True):
        called = scores >= threshold
        cells = np.array([[(~called & ~is_positive).sum(), (called & ~is_positive).sum()], [(~called & is_positive).sum(), 0]])
        cells[1, 1] = (called & is_positive).sum()
        expected = binary_metrics(cells.astype(float))
        assert true == pytest.approx(expected["recall"])
        assert false == pytest.approx(1 - expected["specificity"])


def test_the_histogram_holds_every_row_once() -> None:
    scores = np.array([0.0, 0.019, 0.02, 0.5, 1.0, 1.0])

    histogram = class_curves(scores, np.array([True, False, False, False, True, False])).score_histogram

    assert (histogram.positives[0], histogram.negatives[:2]) == (1, [1, 1])
    assert (histogram.positives[-1], histogram.negatives[-1]) == (1, 1)
    assert sum(histogram.positives) + sum(histogram.negatives) == 6


def test_the_calibration_curve_sums_up_to_the_error() -> None:
    scores, is_positive = noisy(5000, 0.2)

    curve = class_curves(scores, is_positive).calibration

    assert sum(curve.counts) == 5000
    assert curve.predicted == sorted(curve.predicted)
    assert np.dot(curve.counts, curve.observed) == pytest.approx(is_positive.sum())
    assert np.dot(curve.counts, curve.predicted) == pytest.approx(scores.sum())


@pytest.mark.parametrize(("is_positive", "has_precision"), [([False, False], False), ([True, True], True)])
def test_with_one_class_only_the_curves_that_need_two_are_null(is_positive: list[bool], has_precision: bool) -> None:
    found = class_curves(np.array([0.2, 0.4]), np.array(is_positive))

    assert (found.precision_recall is not None, found.roc) == (has_precision, None)
    assert sum(found.calibration.counts) == 2
