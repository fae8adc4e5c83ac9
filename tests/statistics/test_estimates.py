"""Intervals over seeds and rows hold the truth as often as they say, whichever of the two matters more."""

import numpy as np
import pytest

from counterweight.statistics.estimates import Spread, of_folds, of_runs, spread, typical_spread

ROWS = 200
REPEATS = 300


def covered(common: float, own: float, seed: float, seeds: int) -> float:
    """Return how often a 95% interval holds 0, for means over `seeds` runs with these variances of A, G and B (see the module)."""
    source = np.random.default_rng(0)
    inside = 0
    for _ in range(REPEATS):
        shared = source.normal(size=ROWS) * np.sqrt(common * ROWS)
        rows = shared + source.normal(size=(seeds, ROWS)) * np.sqrt(own * ROWS) + source.normal(size=(seeds, 1)) * np.sqrt(seed)
        weights = source.poisson(1, size=(ROWS, 200))
        draws = rows @ weights / weights.sum(axis=0)
        limits = of_runs(rows.mean(axis=1), draws, ROWS).limits(0.95)
        assert limits is not None
        inside += limits[0] <= 0 <= limits[1]
    return inside / REPEATS


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("variances", [(1, 0, 0.001), (0, 1, 0), (0.01, 0.01, 1), (1, 1, 0), (1, 0, 1), (1, 1, 1)])
def test_an_interval_holds_the_truth_in_nearly_95_of_100_studies(variances: tuple[float, float, float], seeds: int) -> None:
    # At worst 92 of 100 with three seeds, 94 with five (docs/decisions); 0.02 is twice the standard error of this simulation.
    assert covered(*variances, seeds) > (0.92 if seeds == 3 else 0.94) - 0.02


def test_rows_alone_or_seeds_alone_would_hold_it_far_too_rarely() -> None:
    """The test of the test: what is left out of a naive interval is what this one is for."""
    source = np.random.default_rng(0)
    only_rows = only_seeds = 0
    for _ in range(REPEATS):
        rows = source.normal(size=ROWS) * np.sqrt(ROWS) + source.normal(size=(5, 1)) * 2
        mean, runs = rows.mean(), rows.mean(axis=1)
        only_rows += abs(mean) <= 1.96 * rows.mean(axis=0).std(ddof=1) / np.sqrt(ROWS)
        only_seeds += abs(mean) <= 2.78 * runs.std(ddof=1) / np.sqrt(5)
    assert only_rows / REPEATS < 0.9
    assert only_seeds / REPEATS < 0.9


def test_two_runs_alone_are_judged_by_their_one_degree_of_freedom() -> None:
    draws = np.random.default_rng(0).normal(size=(2, 100))

    assert of_runs(np.array([0.1, 0.2]), draws, 100).freedom == 1


def test_a_spread_that_is_small_by_chance_is_taken_for_the_typical_one() -> None:
    draws = np.random.default_rng(0).normal(size=(3, 100)) * 0.001
    values = np.array([0.5, 0.5, 0.5001])

    alone, among_others = of_runs(values, draws, 100), of_runs(values, draws, 100, Spread(0.01, 14.0))

    assert (alone.error or 0) < 0.01 < (among_others.error or 0)
    assert among_others.error == pytest.approx((0.01 / 3) ** 0.5, rel=0.01)
    assert among_others.freedom == pytest.approx(14, rel=0.01)


def test_the_typical_spread_is_the_median_known_from_more_than_one_pair_tells() -> None:
    pairs = [Spread(0.1, 4), Spread(0.3, 4), Spread(9.0, 4)]

    assert typical_spread(pairs, arms=3) == Spread(0.3, 4)
    assert typical_spread(pairs[:1], arms=2) is None
    assert typical_spread(pairs, arms=9) == Spread(0.3, 16)
    assert spread(np.array([1.0, 3.0])) == Spread(2.0, 1)


@pytest.mark.parametrize(
    ("values", "draws", "reason"),
    [
        ([0.5], np.zeros((1, 100)), "too_few_runs"),
        ([0.5, 0.6], np.full((2, 100), np.nan), "unstable"),
        ([0.5, 0.5], np.full((2, 100), 0.5), "zero_variance"),
    ],
)
def test_what_cannot_be_told_has_a_reason(values: list[float], draws: np.ndarray, reason: str) -> None:
    found = of_runs(np.array(values), draws, 100)

    assert (found.reason, found.error, found.limits(0.95), found.p_value) == (reason, None, None, None)
    assert found.value == pytest.approx(np.mean(values))


def test_draws_that_are_undefined_now_and_then_are_left_out() -> None:
    draws = np.random.default_rng(0).normal(size=(2, 100))
    draws[0, :5] = np.nan

    assert of_runs(np.array([0.1, 0.3]), draws, 100).error is not None


def test_folds_are_judged_by_the_corrected_t() -> None:
    values = np.array([0.01, 0.02, 0.03, 0.02, 0.01])

    found = of_folds(values, 5)

    assert found.error == pytest.approx(((1 / 5 + 1 / 4) * values.var(ddof=1)) ** 0.5)
    assert (found.freedom, of_folds(values[:1], 5).reason) == (4, "too_few_runs")
