"""Metrics by subgroup: which groups a column makes, and that each group's numbers are those of its rows."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.contracts.datasets import Column
from counterweight.contracts.evaluation import EvaluationOptions, Metric, SubgroupTable
from counterweight.contracts.terms import LossTerms
from tests.training.tables import column_type
from workers.training.evaluation import Outcome, evaluate
from workers.training.subgroups import MAIN, subgroup_table
from workers.training.subject import Scored, Subject

BINARY = Subject(("no", "yes"), 1, LossTerms.neutral(2), (0.8, 0.2), EvaluationOptions())
SEVERAL = Subject(("x", "y", "z"), None, LossTerms.neutral(3), (0.7, 0.2, 0.1), EvaluationOptions())
ROWS = 200


def outcome(subject: Subject = BINARY, seed: int = 0) -> Outcome:
    source, classes = np.random.default_rng(seed), len(subject.classes)

    def part() -> Scored:
        labels = source.choice(classes, ROWS, p=subject.shares)
        return Scored.of(source.normal(size=(ROWS, classes)) + 2 * np.eye(classes)[labels], labels)

    return evaluate(subject, part(), part())


def told(cells: list[Any], subject: Subject = BINARY, found: Outcome | None = None) -> SubgroupTable:
    """Return the subgroups by a column with these cells, first of the validation rows, then of the test rows."""
    found = found or outcome(subject)
    table = pa.table({"c": pa.array(cells)})
    column = Column(name="c", type=column_type(table.column("c")), missing=0, distinct=0)
    return subgroup_table(subject, found.judged, column, {"validation": table[:ROWS], "test": table[ROWS:]})


def names(table: SubgroupTable) -> list[tuple[str, str]]:
    return [(group.kind, group.label) for group in table.groups]


def test_values_come_by_how_many_rows_have_them_and_missing_cells_last() -> None:
    table = told(["red"] * 150 + ["blue"] * 230 + [None] * 20)

    assert names(table) == [("value", "blue"), ("value", "red"), ("missing", "missing")]
    assert [{part: rows.rows for part, rows in group.splits.items()} for group in table.groups] == [
        {"validation": 50, "test": 180},
        {"validation": 150},
        {"test": 20},
    ]


def test_beyond_twenty_values_the_rest_is_one_group() -> None:
    cells = [f"v{index:02d}" for index in range(20) for _ in range(15)] + [f"w{index}" for index in range(100)]

    table = told(cells)

    assert [label for _, label in names(table)] == [*(f"v{index:02d}" for index in range(20)), "100 more values"]
    assert table.groups[-1].kind == "rest"


def test_a_number_of_many_values_falls_in_quarters_told_by_their_ends() -> None:
    cells = [float(index) if index % 40 else None for index in range(400)]

    assert names(told(cells)) == [
        ("range", "1 to 100"),
        ("range", "101 to 199"),
        ("range", "201 to 299"),
        ("range", "300 to 399"),
        ("missing", "missing"),
    ]


def test_a_number_that_is_mostly_one_value_has_fewer_ranges() -> None:
    assert names(told([0] * 340 + list(range(1, 61)))) == [("range", "0 to 0"), ("range", "1 to 60")]


def test_a_number_of_few_values_goes_by_value_in_its_order() -> None:
    assert names(told([2, 10, 10, None] * 100)) == [("value", "2"), ("value", "10"), ("missing", "missing")]


def test_truths_and_moments_are_columns_too() -> None:
    assert names(told([True, False, False, None] * 100)) == [("value", "false"), ("value", "true"), ("missing", "missing")]
    days = [datetime(2024, 1 + index // 100, 1 + index % 25) for index in range(400)]
    assert names(told(days))[0] == ("range", "2024-01-01 to 2024-01-25")


def test_a_column_without_a_cell_is_one_group() -> None:
    assert names(told([None] * 399 + [1.0])) == [("value", "1"), ("missing", "missing")]


@pytest.mark.parametrize("subject", [BINARY, SEVERAL], ids=["two", "several"])
def test_one_group_of_all_rows_has_the_evaluation_s_own_numbers(subject: Subject) -> None:
    found = outcome(subject)

    (group,) = told(["all"] * 2 * ROWS, subject, found).groups

    for part, rows in group.splits.items():
        whole = found.evaluation.splits[part]
        assert rows.confusion == whole.confusion
        assert rows.classes == whole.classes
        assert rows.metrics == {name: metric for name, metric in whole.metrics.items() if name in MAIN}


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([BINARY, SEVERAL]))
def test_groups_part_the_rows_and_their_cells_add_up(seed: int, values: int, subject: Subject) -> None:
    source = np.random.default_rng(seed)
    cells = [None if value == 0 else f"v{value}" for value in source.integers(0, values, 2 * ROWS)]
    found = outcome(subject, seed)

    table = told(cells, subject, found)

    for part, whole in found.evaluation.splits.items():
        groups = [group.splits[part] for group in table.groups if part in group.splits]
        assert sum(group.rows for group in groups) == ROWS
        np.testing.assert_array_equal(np.sum([group.confusion.counts for group in groups], axis=0), whole.confusion.counts)
        for group in groups:
            counts = [share.count for share in group.classes]
            for metric in group.metrics.values():
                assert_null_with_reason(metric, min(counts))


def assert_null_with_reason(metric: Metric, smallest: int) -> None:
    assert (metric.value is None or metric.low is None) == (metric.reason is not None)
    if smallest < 5 and metric.value is not None and metric.low is not None:
        raise AssertionError(f"an interval from {smallest} rows of a class: {metric}")


def test_a_group_with_fewer_than_five_rows_of_a_class_has_points_only() -> None:
    found = outcome()
    judged = found.judged["test"]
    chosen = np.concatenate([np.flatnonzero(judged.labels == 1)[:4], np.flatnonzero(judged.labels == 0)[:50]])
    cells = ["other"] * 2 * ROWS
    for row in chosen:
        cells[ROWS + row] = "few"

    few = next(group for group in told(cells, found=found).groups if group.label == "few")

    metrics = few.splits["test"].metrics
    assert metrics["average_precision"].value is not None
    assert {metric.reason for metric in metrics.values()} == {"too_few"}


def test_a_cancelled_job_waits_for_no_more_groups() -> None:
    found, table = outcome(), pa.table({"c": pa.array(["a", "b"] * ROWS)})
    column = Column(name="c", type="categorical", missing=0, distinct=2)
    asked = iter([False, True])

    (group,) = subgroup_table(BINARY, found.judged, column, {"validation": table[:ROWS], "test": table[ROWS:]}, lambda: next(asked)).groups

    assert group.label == "a"
