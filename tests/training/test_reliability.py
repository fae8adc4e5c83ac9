"""The expected calibration error."""

from typing import Any

import numpy as np
import pytest

from counterweight.statistics import bootstrap
from counterweight.statistics.binning import FEWEST_ROWS_OF_A_BIN, MOST_BINS, equal_mass
from tests.training.golden import golden, needs_golden
from workers.training.reliability import bins_of, error_draws


def calibrated(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    probabilities = source.beta(1, 9, rows)
    return probabilities, source.random(rows) < probabilities


def case(name: str) -> dict[str, Any]:
    return next(each for each in golden("metrics") if each["id"] == name)


@needs_golden
def test_the_golden_error_of_equal_width_and_of_equal_mass() -> None:
    ties = case("binary_ties")
    scores, truths = np.array(ties["score"]), np.array(ties["y_true"]) == 1
    by_width = np.maximum(np.ceil(scores * 5).astype(int) - 1, 0)
    by_mass = np.empty(10, dtype=int)
    by_mass[np.argsort(scores, kind="stable")] = np.arange(10) // 2

    assert bins_of(scores, truths, by_width).error == pytest.approx(ties["ece_positive_class_5_equal_width_bins_right_closed"], rel=1e-12)
    assert bins_of(scores, truths, by_mass).error == pytest.approx(ties["ece_positive_class_5_equal_mass_bins_stable_sort"], rel=1e-12)


@pytest.mark.parametrize(("rows", "bins"), [(5, 1), (100, 5), (299, 14), (300, MOST_BINS), (10_000, MOST_BINS)])
def test_there_are_fifteen_bins_or_as_many_as_can_be_filled(rows: int, bins: int) -> None:
    found = np.bincount(equal_mass(np.random.default_rng(0).random(rows)))

    assert len(found) == bins
    assert found.max() - found.min() <= 1
    assert bins == 1 or found.min() >= FEWEST_ROWS_OF_A_BIN


def test_equal_probabilities_share_a_bin() -> None:
    scores = np.repeat([0.1, 0.2, 0.9], [700, 200, 100])

    bins = equal_mass(scores)

    assert len(np.unique(bins)) == 3
    assert all(len(np.unique(bins[scores == score])) == 1 for score in (0.1, 0.2, 0.9))


def test_the_order_of_the_rows_is_of_no_account() -> None:
    scores, truths = calibrated(1000)
    order = np.random.default_rng(1).permutation(1000)

    shuffled = bins_of(scores[order], truths[order], equal_mass(scores[order]))

    assert shuffled.error == pytest.approx(bins_of(scores, truths, equal_mass(scores)).error, rel=1e-12)


def test_a_constant_prevalence_is_calibrated_and_a_constant_half_is_off_by_the_rest() -> None:
    truths = np.arange(1000) < 100

    errors = [bins_of(np.full(1000, share), truths, equal_mass(np.full(1000, share))).error for share in (0.1, 0.5)]

    assert errors == pytest.approx([0, 0.4])


def test_the_interval_lies_around_the_error_and_narrows_with_the_rows() -> None:
    widths = []
    for rows in (1000, 100_000):
        scores, truths = calibrated(rows)
        bins = equal_mass(scores)
        draws = error_draws(scores, truths, bins, bootstrap.generator())
        low, high = np.quantile(draws, [0.025, 0.975])
        assert low <= bins_of(scores, truths, bins).error <= high
        widths.append(high - low)

    assert widths[1] < widths[0] / 5


def test_draws_are_spread_like_those_that_weigh_row_by_row() -> None:
    scores, truths = calibrated(2000)
    scores = scores**0.7  # no longer calibrated
    bins, source = equal_mass(scores), np.random.default_rng(2)

    draws = error_draws(scores, truths, bins, bootstrap.generator())

    weights = source.poisson(1.0, (400, 2000))
    slow = [np.abs(np.bincount(bins, weights=each * (truths - scores))).sum() / each.sum() for each in weights]
    assert draws.std() == pytest.approx(np.std(slow), rel=0.12)
