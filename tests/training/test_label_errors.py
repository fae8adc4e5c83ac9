"""Suspected label errors: a hand-worked example, and whether planted ones are found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.terms import LossTerms
from workers.training.evaluation import evaluate
from workers.training.label_errors import suspected_label_errors
from workers.training.subject import Judged, Scored, Subject


def judged(probabilities: list[list[float]], labels: list[int], first_row: int = 0) -> Judged:
    log_p = np.log(np.array(probabilities))
    return Judged(Scored.of(log_p, np.array(labels), first_row + np.arange(len(labels))), log_p, log_p.argmax(axis=1))


def test_a_row_as_sure_of_another_class_as_that_class_s_own_rows_is_suspected() -> None:
    # Rows of "a" have 0.8 of it on average, those of "b" 0.6.
    validation = judged([[0.9, 0.1], [0.95, 0.05], [0.35, 0.65], [0.3, 0.7]], [0, 0, 1, 1])
    test = judged([[0.95, 0.05], [0.4, 0.6], [0.55, 0.45]], [0, 0, 1], first_row=100)

    found = suspected_label_errors(("a", "b"), {"validation": validation, "test": test})

    assert found.self_confidence == pytest.approx({"a": 0.8, "b": 0.6})
    (row,) = found.rows
    assert (row.row, row.part, row.label, row.suggested) == (101, "test", "a", "b")
    assert (row.probability, row.suggested_probability, row.margin) == pytest.approx((0.4, 0.6, 0.2))
    assert [(pair.label, pair.suggested, pair.count) for pair in found.pairs] == [("a", "b", 1)]


def test_a_row_more_sure_of_its_own_class_is_not_suspected() -> None:
    # 0.5 of "b" is more than its rows have on average, but the first row is as sure of its own class as others are, and more so.
    rows = judged([[0.5, 0.4, 0.1], [0.45, 0.4, 0.15], [0.3, 0.35, 0.35], [0.1, 0.1, 0.8]], [0, 0, 1, 2])

    found = suspected_label_errors(("a", "b", "c"), {"validation": rows, "test": rows})

    assert [(row.label, row.suggested) for row in found.rows if row.row == 0] == []
    assert {(row.label, row.suggested) for row in found.rows} == {("a", "b")}


def test_a_class_without_rows_is_never_suggested() -> None:
    rows = judged([[0.1, 0.1, 0.8], [0.2, 0.7, 0.1]], [0, 1])

    found = suspected_label_errors(("a", "b", "c"), {"validation": rows, "test": rows})

    assert found.self_confidence["c"] is None
    assert found.rows == []


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_rows_and_pairs_agree_and_the_worst_come_first(seed: int, classes: int) -> None:
    source = np.random.default_rng(seed)
    parts = {}
    for part in ("validation", "test"):
        labels = source.integers(0, classes, 40)
        logits = source.normal(size=(40, classes)) + np.eye(classes)[labels]
        parts[part] = judged(np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)).tolist(), labels.tolist())

    found = suspected_label_errors(tuple("abcde"[:classes]), parts)  # type: ignore[arg-type]

    assert sum(pair.count for pair in found.pairs) == len(found.rows) or len(found.rows) == 50
    assert [row.margin for row in found.rows] == sorted((row.margin for row in found.rows), reverse=True)
    for row in found.rows:
        sure = found.self_confidence[row.suggested]
        assert row.label != row.suggested
        assert sure is not None
        assert row.suggested_probability >= sure


@pytest.mark.parametrize(("classes", "shares"), [(2, (0.9, 0.1)), (3, (0.7, 0.2, 0.1))])
def test_planted_flips_are_found_at_the_top(classes: int, shares: tuple[float, ...]) -> None:
    source = np.random.default_rng(1)
    subject = Subject(("a", "b", "c")[:classes], 1 if classes == 2 else None, LossTerms.neutral(classes), shares, EvaluationOptions())
    rows, flips = 2000, 40

    def part(first: int) -> tuple[Scored, set[int]]:
        truth = source.choice(classes, rows, p=shares)
        logits = 1.5 * source.normal(size=(rows, classes)) + 5 * np.eye(classes)[truth] + np.log(shares)
        flipped = source.choice(rows, flips, replace=False)
        labels = truth.copy()
        labels[flipped] = (labels[flipped] + source.integers(1, classes, flips)) % classes
        return Scored.of(logits, labels, first + np.arange(rows)), set((first + flipped).tolist())

    (validation, ours), (test, theirs) = part(0), part(10_000)

    found = evaluate(subject, validation, test).evaluation.suspected_label_errors

    assert found is not None
    planted = [row.row in ours | theirs for row in found.rows]
    assert len(planted) == 50
    assert np.mean(planted) > 0.9
    assert np.mean(planted[:25]) == 1.0
    assert {row.part for row in found.rows} == {"validation", "test"}
