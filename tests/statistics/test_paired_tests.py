"""Tests of two models against golden numbers, brute force, and what is undefined."""

from math import comb

import numpy as np
import pytest

from counterweight.statistics.paired_tests import delong, holm, mcnemar, nadeau_bengio, placements
from tests.training.golden import golden, needs_golden

GOLDEN = {entry["id"]: entry for entry in golden("metrics")}


@needs_golden
def test_delong_gives_the_golden_numbers() -> None:
    case = GOLDEN["delong_paired"]
    is_positive = np.array(case["y_true"]) == 1
    first, second = (placements(np.array(case[name], dtype=float), is_positive) for name in ("score_a", "score_b"))

    found = delong(first, second, is_positive)

    assert first[is_positive].mean() == pytest.approx(case["auc_a"], rel=1e-12)
    assert second[~is_positive].mean() == pytest.approx(case["auc_b"], rel=1e-12)
    assert [found.z, found.p_value] == pytest.approx([case["z"], case["p_two_sided"]], rel=1e-12)


@needs_golden
def test_mcnemar_gives_the_golden_number() -> None:
    case = GOLDEN["mcnemar"]

    assert mcnemar(case["only_a_correct"], case["only_b_correct"]).p_value == pytest.approx(case["exact_p_two_sided"], rel=1e-12)


@needs_golden
def test_nadeau_and_bengio_give_the_golden_numbers() -> None:
    case = GOLDEN["nadeau_bengio"]

    found = nadeau_bengio(case["differences"], case["test_over_train"])

    assert [found.t, found.freedom] == pytest.approx([case["t"], case["df"]], rel=1e-12)
    assert found.p_value == pytest.approx(case["p_two_sided"], rel=1e-9)
    assert nadeau_bengio(case["differences"], 0.0).t == pytest.approx(case["naive_t"], rel=1e-12)


def test_placements_count_pairs_in_order_and_ties_as_half() -> None:
    source = np.random.default_rng(0)
    scores, is_positive = source.integers(0, 6, 40).astype(float), source.random(40) < 0.3

    found = placements(scores, is_positive)

    for row, (score, positive) in enumerate(zip(scores, is_positive, strict=True)):
        others = scores[is_positive != positive]
        wins = (score > others) if positive else (score < others)
        assert found[row] == pytest.approx((wins + 0.5 * (score == others)).mean())


def test_delong_says_why_it_cannot_tell() -> None:
    is_positive = np.array([True, False, False])
    same = np.array([1.0, 0.0, 1.0, 0.5])

    assert delong(np.ones(3), np.zeros(3), is_positive).reason == "too_few"
    assert delong(same, same, np.array([True, True, False, False])).reason == "zero_variance"


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 3), (10, 2), (500, 420)])
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    count = only_a + only_b
    expected = 2 * sum(comb(count, k) for k in range(min(only_a, only_b) + 1)) / 2**count

    found = mcnemar(only_a, only_b)

    assert found.p_value == pytest.approx(min(1.0, expected), rel=1e-10)
    assert mcnemar(only_b, only_a).p_value == found.p_value


def test_mcnemar_without_a_row_that_tells_is_null() -> None:
    assert (mcnemar(0, 0).p_value, mcnemar(0, 0).reason) == (None, "no_discordant_rows")


def test_nadeau_and_bengio_say_why_they_cannot_tell() -> None:
    assert nadeau_bengio([0.1], 0.25).reason == "too_few_runs"
    assert nadeau_bengio([0.1, 0.1, 0.1], 0.25).reason == "zero_variance"


def test_holm_steps_down_and_leaves_out_what_is_null() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_rejects_a_true_hypothesis_in_at_most_5_of_100_families() -> None:
    source = np.random.default_rng(0)
    families = source.random((2000, 6))
    families[:, :3] /= 1000  # Three differences are real, three are not.

    false = sum(any(p is not None and p < 0.05 for p in holm(family.tolist())[3:]) for family in families)

    assert false / 2000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
