"""Studies whose truth is known, trained for real: a few of those that `benchmarks.planted_studies` counts a hundred of."""

from benchmarks.planted_studies import holds, repeat, tally

REPEATS = 3


def test_no_winner_among_equals_and_the_worse_arm_found() -> None:
    found = tally([repeat(number) for number in range(REPEATS)])

    assert holds(found, REPEATS), found
    assert found["same function, same seeds"] == {"equivalent": REPEATS}


def test_the_counts_are_held_to_their_bounds() -> None:
    fine = {"same": {"winner": 10, "undecided": 90}, "one worse": {"found": 90, "undecided": 10}}

    assert holds(fine, 100)
    assert not holds(fine | {"same": {"winner": 11, "undecided": 89}}, 100)
    assert not holds(fine | {"one worse": {"found": 89, "undecided": 11}}, 100)
