"""The verdict: right where the truth is known, modest where it is not, and in words that hold the numbers."""

import pytest

from counterweight.contracts.studies import Verdict
from counterweight.statistics.comparing import compare
from tests.statistics.simulated import question, runs


def verdict(*strengths: float, minimum_difference: float = 0.01, **made: float) -> Verdict:
    sizes = {name: int(value) for name, value in made.items() if name in ("rows", "seeds", "seed")}
    noise = {name: value for name, value in made.items() if name in ("own", "between", "share")}
    found = compare(question(len(strengths), minimum_difference=minimum_difference), runs(strengths, **sizes, **noise)).verdict  # type: ignore[arg-type]
    assert found is not None
    return found


def test_an_arm_that_is_better_than_every_other_wins() -> None:
    found = verdict(1.0, 2.5, 1.2)

    assert (found.decided, found.outcome, found.winner, found.candidates) == (True, "winner", "focal", ["focal"])
    assert found.suggestion == "focal"
    assert found.sentence.startswith("focal is best: mean test average precision 0.")
    assert "ahead of each of the 2 other arms" in found.sentence
    assert "It has a price: its raw scores are no probabilities until they are corrected" in found.sentence


def test_the_simplest_of_arms_that_differ_by_less_than_matters_is_suggested() -> None:
    found = verdict(1.5, 1.5, 0.2, minimum_difference=0.05, rows=3000, own=0.05, between=0.005)

    assert (found.decided, found.outcome, found.winner) == (True, "equivalent", None)
    assert set(found.candidates) == {"cross_entropy", "focal"}
    assert found.suggestion == "cross_entropy"
    assert "No difference in test average precision larger than 0.05 is likely" in found.sentence
    assert found.sentence.endswith("Take the simplest, cross_entropy. 1 other arm is worse.")


def test_what_cannot_be_decided_says_what_it_would_take() -> None:
    found = verdict(2.0, 1.95, rows=300, own=0.6)

    assert (found.decided, found.outcome, found.winner) == (False, "undecided", None)
    assert found.needed is not None
    assert found.needed.test_rows is not None
    assert found.needed.test_rows > 300
    assert f"about {found.needed.test_rows:,} test rows" in found.sentence


def test_what_it_would_take_is_about_enough() -> None:
    made = {"between": 0.0, "own": 0.3, "share": 0.3}
    small = [verdict(1.6, 1.4, rows=60, seed=seed, **made) for seed in range(30)]
    asked = sorted(found.needed.test_rows for found in small if found.needed is not None and found.needed.test_rows is not None)

    enough = [verdict(1.6, 1.4, rows=asked[len(asked) // 2], seed=seed, **made).winner for seed in range(30)]

    assert len(asked) > 10
    # It aims at 80 of 100 where things are as they looked, and they look larger or smaller than they are.
    assert enough.count("cross_entropy") > 15


def test_a_tiny_difference_however_sure_is_no_win() -> None:
    found = verdict(1.52, 1.5, rows=20_000, own=0.01, between=0.0005, minimum_difference=0.02)

    assert (found.outcome, found.winner) == ("equivalent", None)


def test_without_a_smallest_difference_of_interest_nothing_is_equivalent() -> None:
    assert verdict(1.5, 1.5, minimum_difference=0.0).outcome == "undecided"


@pytest.mark.parametrize("arms", [2, 4])
def test_arms_that_are_the_same_seldom_get_a_winner(arms: int) -> None:
    winners = [verdict(*[1.5] * arms, rows=200, seed=seed).winner for seed in range(60)]

    assert len([winner for winner in winners if winner is not None]) <= 6


def test_an_arm_that_is_worse_is_found() -> None:
    winners = [verdict(2.0, 1.0, rows=300, seed=seed).winner for seed in range(40)]

    assert winners.count("cross_entropy") >= 36
