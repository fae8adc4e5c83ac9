"""The comparison of arms: laws it keeps, and what it says where little is known."""

from dataclasses import replace

import numpy as np
import pytest

from counterweight.contracts.studies import StudyMetric
from counterweight.statistics.comparing import compare
from counterweight.statistics.measured import Mismatched, Run
from tests.statistics.simulated import ARMS, question, runs


def test_a_difference_swapped_changes_its_sign_and_nothing_else() -> None:
    made = runs([2.0, 1.6])
    swapped = [replace(run, arm=1 - run.arm) for run in made]

    one, other = compare(question(), made), compare(question(), swapped)

    a, b = one.comparisons[0], other.comparisons[0]
    # The better arm is `a` in both: what swaps is its name.
    assert (a.a, a.b, b.a, b.b) == (ARMS[0].arm, ARMS[1].arm, ARMS[1].arm, ARMS[0].arm)
    assert a.model_dump(exclude={"a", "b"}) == b.model_dump(exclude={"a", "b"})
    assert a.difference is not None
    assert a.difference > 0


def test_the_order_of_the_runs_changes_nothing() -> None:
    made = runs([2.0, 1.9, 2.1])
    shuffled = [made[index] for index in np.random.default_rng(1).permutation(len(made))]

    assert compare(question(3), shuffled) == compare(question(3), made)


def test_the_leaderboard_is_in_order_of_the_means_which_are_those_of_the_runs() -> None:
    found = compare(question(3), runs([1.0, 3.0, 2.0]))

    assert [(row.arm, row.rank) for row in found.leaderboard] == [(ARMS[1].arm, 1), (ARMS[2].arm, 2), (ARMS[0].arm, 3)]
    for row in found.leaderboard:
        assert row.low is not None
        assert row.high is not None
        assert 0 <= row.low < (row.mean or 0) < row.high <= 1
    assert [row.job_ids for row in found.leaderboard] == [["job_1"], ["job_2"], ["job_0"]]
    assert [(each.a, each.b) for each in found.comparisons] == [
        (ARMS[1].arm, ARMS[2].arm),
        (ARMS[1].arm, ARMS[0].arm),
        (ARMS[2].arm, ARMS[0].arm),
    ]


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_of_errors_the_smaller_is_the_better(metric: StudyMetric) -> None:
    found = compare(question(metric=metric, minimum_difference=0.0001), runs([2.0, 0.5]))

    first, second = (row.mean for row in found.leaderboard)
    assert first is not None
    assert second is not None
    assert first < second
    [comparison] = found.comparisons
    assert (comparison.difference or 0) < 0
    assert comparison.wins == 5
    assert found.verdict is not None
    assert found.verdict.winner == found.leaderboard[0].arm


def test_arms_with_the_same_predictions_are_told_to_be_identical() -> None:
    first = runs([2.0])
    found = compare(question(), [*first, *(replace(run, arm=1) for run in first)])

    [comparison] = found.comparisons
    assert [row.rank for row in found.leaderboard] == [1, 1]
    assert (comparison.difference, comparison.low, comparison.high) == (0.0, 0.0, 0.0)
    assert (comparison.p_value, comparison.p_adjusted, comparison.reason, comparison.ties) == (None, None, "identical", 5)
    assert found.verdict is not None
    assert (found.verdict.outcome, found.verdict.winner, found.verdict.suggestion) == ("equivalent", None, "cross_entropy")


def test_one_arm_has_an_interval_and_nothing_to_be_compared_with() -> None:
    found = compare(question(1), runs([2.0]))

    assert found.comparisons == []
    assert found.leaderboard[0].low is not None
    assert found.verdict is not None
    assert (found.verdict.decided, found.verdict.outcome) == (False, "nothing_to_compare")


def test_one_run_of_each_arm_gives_means_and_nothing_more() -> None:
    found = compare(question(), runs([2.0, 1.0], seeds=1))

    assert [(row.runs, row.sd, row.low, row.reason) for row in found.leaderboard] == [(1, None, None, "too_few_runs")] * 2
    assert found.comparisons == []
    assert found.verdict is not None
    assert (found.verdict.outcome, found.verdict.candidates) == ("nothing_to_compare", [])


def test_an_arm_with_one_run_takes_no_part_and_an_arm_without_any_is_last() -> None:
    made = [run for run in runs([2.0, 1.0, 2.0]) if run.arm == 0 or (run.arm == 1 and run.place == 0)]

    found = compare(question(3), made)

    assert [(row.runs, row.rank, row.reason) for row in found.leaderboard] == [(5, 1, None), (1, 2, "too_few_runs"), (0, None, "no_runs")]
    assert found.verdict is not None
    assert found.verdict.sentence.endswith("2 arms with fewer than 2 measured runs took no part.")


def test_arms_are_compared_by_the_seeds_that_both_have() -> None:
    made = [run for run in runs([2.0, 1.0]) if (run.arm, run.place) not in {(0, 0), (1, 1)}]

    [comparison] = compare(question(), made).comparisons

    assert comparison.runs == 3


@pytest.mark.parametrize(("positives", "reason"), [(4, "too_few"), (6, None)])
def test_few_rows_of_a_class_allow_no_interval(positives: int, reason: str | None) -> None:
    made = [_with_positives(run, positives) for run in runs([2.0, 1.0])]

    found = compare(question(), made)

    assert [row.reason for row in found.leaderboard] == [reason] * 2
    assert found.comparisons[0].reason == reason
    assert found.verdict is not None
    assert ("a class has fewer than 5 test rows" in found.verdict.sentence) == (reason is not None)


def test_a_metric_that_is_undefined_on_these_rows_is_said_to_be() -> None:
    found = compare(question(), [_with_positives(run, 0) for run in runs([2.0, 1.0])])

    assert [(row.runs, row.mean, row.reason) for row in found.leaderboard] == [(0, None, "undefined")] * 2
    assert found.verdict is not None
    assert "no arm has two runs of which test average precision is defined" in found.verdict.sentence


def test_runs_on_other_rows_are_refused() -> None:
    made = runs([2.0, 1.0])
    made[-1] = replace(made[-1], outcome=replace(made[-1].outcome, rows=made[-1].outcome.rows + 1))

    with pytest.raises(Mismatched, match="other rows"):
        compare(question(), made)


def test_delong_and_mcnemar_are_told_where_they_apply() -> None:
    of_area, of_precision = (compare(question(metric=name), runs([2.5, 1.0])).comparisons[0] for name in ("roc_auc", "average_precision"))

    assert of_precision.delong is None
    assert of_area.delong is not None
    assert (of_area.delong.p_value or 1) < 0.001
    assert set(of_area.mcnemar) == {"no", "yes"}
    assert (of_area.mcnemar["yes"].p_value or 1) < 0.01


def test_with_many_arms_the_leaders_pairs_alone_are_shown_and_all_are_adjusted_for() -> None:
    found = compare(question(22), runs([2.0 - 0.01 * arm for arm in range(22)], seeds=2, rows=200))

    assert len(found.comparisons) == 21
    assert {each.a for each in found.comparisons} == {found.leaderboard[0].arm}
    smallest = min((each for each in found.comparisons if each.p_value is not None), key=lambda each: each.p_value or 1)
    assert (smallest.p_adjusted or 0) > (smallest.p_value or 0)
    assert found.comparisons[0].mcnemar == {}


def test_folds_are_compared_by_their_means_over_seeds() -> None:
    made = runs([2.5, 1.0], folds=5, seeds=2)

    found = compare(question(folds=5), made)

    [comparison] = found.comparisons
    assert (comparison.runs, comparison.delong, comparison.mcnemar) == (10, None, {})
    assert comparison.low is not None
    assert comparison.low > 0
    assert found.verdict is not None
    assert "over 10 runs and 2,000 test rows" in found.verdict.sentence


def _with_positives(run: Run, positives: int) -> Run:
    """The run, with all but so many of the positive rows taken for negative ones."""
    labels = run.outcome.labels.copy()
    labels[np.flatnonzero(labels)[positives:]] = 0
    return replace(run, outcome=replace(run.outcome, labels=labels))
