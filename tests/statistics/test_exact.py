"""Exact limits against SciPy, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom

from counterweight.statistics import decisions
from counterweight.statistics.exact import area_under_roc, average_precision, clopper_pearson

some_shares = st.lists(st.floats(0.01, 1), min_size=2, max_size=5)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("rows", [1, 2, 5, 30, 1000, 40_000, 1_000_000])
def test_the_limits_of_a_share_are_scipy_s(rows: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    for hits in {0, 1, rows // 7, rows // 2, rows - 1, rows}:
        low, high = clopper_pearson(hits, rows, confidence)

        assert low == pytest.approx(0 if hits == 0 else beta.ppf(tail, hits, rows - hits + 1), rel=1e-9)
        assert high == pytest.approx(1 if hits == rows else beta.ppf(1 - tail, hits + 1, rows - hits), rel=1e-9)


def test_the_limits_of_a_share_hold_the_truth_at_least_as_often_as_they_say() -> None:
    limits = np.array([clopper_pearson(hits, 20, 0.9) for hits in range(21)])

    for truth in np.linspace(0.01, 0.99, 99):
        holds = (limits[:, 0] <= truth) & (truth <= limits[:, 1])
        assert binom.pmf(np.flatnonzero(holds), 20, truth).sum() >= 0.9


def test_a_ranking_without_a_mistake_is_as_sure_as_its_smaller_class_is_large() -> None:
    found = area_under_roc(30, 5000, 1.0, 0.95)

    assert found == pytest.approx((0.025 ** (1 / 30), 1.0))
    assert area_under_roc(5000, 30, 1.0, 0.95) == found
    assert area_under_roc(30, 5000, 0.0, 0.95) == pytest.approx((0.0, 1 - 0.025 ** (1 / 30)))
    assert area_under_roc(30, 5000, 0.5, 0.95) is None
    assert average_precision(30, 5000, 0.99, 0.95) is None


@given(some_shares, some_shares, st.integers(1, 60), st.integers(1, 300))
def test_no_nature_below_the_limits_shows_a_perfect_sample_more_often_than_promised(
    positive_weights: list[float], negative_weights: list[float], positives: int, negatives: int
) -> None:
    levels = min(len(positive_weights), len(negative_weights))
    yes, no = (np.array(each[:levels]) ** 4 / (np.array(each[:levels]) ** 4).sum() for each in (positive_weights, negative_weights))
    area, precision, chance = population(yes, no, positives, negatives)

    for truth, limits in (
        (area, area_under_roc(positives, negatives, 1.0, 0.95)),
        (precision, average_precision(positives, negatives, 1.0, 0.95)),
    ):
        assert limits is not None
        # 2,000 splits stand for all.
        assert truth >= limits[0] - 1e-6 or chance <= 0.025 * (1 + 1e-6)


def population(yes: np.ndarray, no: np.ndarray, positives: int, negatives: int) -> tuple[float, float, float]:
    """Return AUROC, average precision and the chance of a sample without a mistake, of a nature with levels from the top down.

    In each level, the negatives stand above all of its positives, and its positives above one another.
    """
    recall, false = np.cumsum(yes), np.cumsum(no)
    before = recall - yes
    area = float((yes * (1 - false)).sum())
    rest = false * negatives / positives
    precision = float((yes - rest * np.log((recall + rest) / (before + rest))).sum())
    lowest_here = recall**positives - before**positives
    return area, precision, float((lowest_here * np.clip(1 - false, 0, 1) ** negatives).sum())


def test_the_limit_of_a_perfect_average_precision_is_reached_by_the_worst_nature() -> None:
    low, _ = average_precision(50, 400, 1.0, 0.95) or (None, None)
    on_top = 1 - 0.025 ** (1 / 400)

    _, precision, chance = population(np.array([1.0, 0.0]), np.array([on_top, 1 - on_top]), 50, 400)

    assert chance == pytest.approx(0.025)
    assert low == pytest.approx(precision)


@pytest.mark.parametrize("positive", [0, 1])
def test_shares_of_nought_or_one_have_exact_limits_and_what_has_none_says_so(positive: int) -> None:
    found = decisions.measured(np.array([[80, 0], [0, 20]]), positive, 0.95)

    rows = {"precision": 20 if positive else 80, "recall": 20 if positive else 80, "specificity": 80 if positive else 20, "accuracy": 100}
    for name, count in rows.items():
        assert (found[name].low, found[name].high) == pytest.approx((0.025 ** (1 / count), 1.0))
    for name in ("f1", "mcc", "kappa", "g_mean", "balanced_accuracy"):
        assert found[name].value == pytest.approx(1.0)
        assert (found[name].low, found[name].high, found[name].reason) == (None, None, "degenerate")


def test_a_share_of_too_few_rows_to_draw_from_has_exact_limits() -> None:
    found = decisions.measured(np.array([[79, 1], [19, 1]]), 1, 0.95)

    assert found["precision"].value == 0.5
    assert (found["precision"].low, found["precision"].high) == pytest.approx((0.0126, 0.9874), abs=1e-4)


def test_a_class_never_called_has_a_recall_of_nought_with_an_upper_limit() -> None:
    found = decisions.measured(np.array([[80, 0], [20, 0]]), 1, 0.95)

    assert (found["recall"].value, found["recall"].low) == (0.0, 0.0)
    assert found["recall"].high == pytest.approx(1 - 0.025 ** (1 / 20))
    assert found["precision"].reason == "no_predicted_positive"
