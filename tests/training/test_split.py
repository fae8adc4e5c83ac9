"""Dividing the rows: laws of every split, and what cannot be divided."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counterweight.contracts.splits import PARTS, FoldedSplit, GroupSplit, StratifiedSplit, TimeSplit
from workers.training.copies import mixed
from workers.training.errors import UnusableData
from workers.training.split import Drawing, Parts, drawn_parts, named_parts, timed_parts

LABELS = np.array([0] * 101 + [1] * 7 + [2] * 5)

SEEDS = st.integers(0, 10_000)

SPLITS: list[dict[str, Any]] = [
    {},
    {"test": 0.0},
    {"validation": 0.3, "test": 0.3, "seed": 7},
    {"folds": 4, "fold": 2},
    {"folds": 2, "fold": 0},
]


def drawing(labels: np.ndarray, together: np.ndarray | None = None, classes: int = 3) -> Drawing:
    """Return rows that differ unless `together` says otherwise."""
    together = np.arange(len(labels)) if together is None else together
    keys = mixed(together.astype(np.uint64) * np.uint64(1000) + labels.astype(np.uint64))
    return Drawing(labels, tuple("abcdefgh"[:classes]), keys, together.astype(np.uint64), "units")


def counts(parts: Parts, labels: np.ndarray, classes: int = 3) -> list[tuple[int, ...]]:
    """Return the rows of each part, by class."""
    return [tuple(np.bincount(parts[labels == label], minlength=len(PARTS)).tolist()) for label in range(classes)]


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels of three classes, and units of up to 8 rows, each of one class as copies are; each class has 40 rows of their own."""
    labels, together = [0, 1, 2] * 40, list(range(120))
    for unit, (label, rows) in enumerate(draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 8)), max_size=40)), start=120):
        labels += [label] * rows
        together += [unit] * rows
    return np.array(labels), np.array(together)


def test_groups_may_all_hold_several_classes() -> None:
    labels, groups = np.tile([0, 1, 2], 20), np.repeat(np.arange(20), 3)

    parts = drawn_parts(drawing(labels, groups), GroupSplit())

    assert all(len(set(parts[groups == group])) == 1 for group in range(20))
    assert counts(parts, labels) == [(13, 3, 4)] * 3


@pytest.mark.parametrize("given_split", SPLITS)
@settings(max_examples=30, deadline=None)
@given(table=tables(), seed=SEEDS)
def test_units_stay_together_each_class_has_its_share_and_the_order_of_rows_is_nothing(
    given_split: dict[str, Any], table: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    labels, together = table
    split = StratifiedSplit.model_validate(given_split)

    parts = drawn_parts(drawing(labels, together), split)

    assert all(len(set(parts[together == unit])) == 1 for unit in np.unique(together))
    # 40 single rows of each class fill up whatever the units leave open.
    assert counts(parts, labels) == split.class_parts(np.bincount(labels, minlength=3).tolist())
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    assert (drawn_parts(drawing(labels[shuffled], together[shuffled]), split) == parts[shuffled]).all()


@settings(max_examples=30, deadline=None)
@given(table=tables(), folds=st.integers(2, 7), is_grouped=st.booleans())
def test_folds_are_disjoint_and_cover_every_row(table: tuple[np.ndarray, np.ndarray], folds: int, is_grouped: bool) -> None:
    labels, together = table
    kind: type[FoldedSplit] = GroupSplit if is_grouped else StratifiedSplit

    tested = np.stack([drawn_parts(drawing(labels, together), kind(folds=folds, fold=fold)) == 2 for fold in range(folds)])

    assert (tested.sum(axis=0) == 1).all()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, most_rows=st.integers(1, 20))
def test_groups_of_several_classes_stay_together_and_come_near_the_shares(seed: int, most_rows: int) -> None:
    source = np.random.default_rng(seed)
    groups = np.repeat(np.arange(15), source.integers(1, most_rows + 1, 15))
    labels = source.integers(0, 3, len(groups))
    # Each class in groups of its own too, small enough to even out what the large ones leave.
    groups = np.concatenate([groups, 15 + np.arange(90)])
    labels = np.concatenate([labels, np.arange(90) % 3])
    split = GroupSplit(column="patient", seed=seed)

    parts = drawn_parts(drawing(labels, groups), split)

    assert all(len(set(parts[groups == group])) == 1 for group in np.unique(groups))
    found = np.array(counts(parts, labels)) / np.bincount(labels)[:, None]
    assert (found > 0).all()
    assert np.abs(found - [0.65, 0.15, 0.2]).max() < 0.15
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    again = drawn_parts(
        Drawing(labels[shuffled], ("a", "b", "c"), drawing(labels, groups).keys[shuffled], groups[shuffled].astype(np.uint64), ""), split
    )
    assert (again == parts[shuffled]).all()


def test_the_same_seed_divides_alike_and_another_otherwise() -> None:
    parts = [drawn_parts(drawing(LABELS), StratifiedSplit(seed=seed)) for seed in (0, 0, 1)]

    assert (parts[0] == parts[1]).all()
    assert (parts[0] != parts[2]).any()


def test_more_validation_rows_leave_the_test_rows_as_they_are() -> None:
    rows = drawing(np.array([0] * 100 + [1] * 20), classes=2)

    few, many = (drawn_parts(rows, StratifiedSplit(validation=share)) for share in (0.1, 0.3))

    assert ((few == 2) == (many == 2)).all()


def test_large_units_fall_into_each_part_about_as_often_as_its_share() -> None:
    # One unit holds a tenth of the rows: it is no fixture of the training part.
    labels, together = np.zeros(200, dtype=np.int64), np.maximum(np.arange(200) - 19, 0)
    labels[180:] = 1

    found = [drawn_parts(drawing(labels, together, classes=2), StratifiedSplit(seed=seed))[0] for seed in range(400)]

    assert np.bincount(found, minlength=3) / 400 == pytest.approx([0.65, 0.15, 0.2], abs=0.06)


def test_a_unit_larger_than_its_part_is_as_near_as_possible() -> None:
    labels, together = np.array([0] * 50 + [1] * 30), np.array([0] * 30 + list(range(1, 51)))

    found = counts(drawn_parts(drawing(labels, together, classes=2), StratifiedSplit(validation=0.25, test=0.25)), labels, classes=2)

    assert found[0] == (30, 10, 10)
    assert found[1] == (15, 8, 7)


def test_every_part_gets_a_unit_of_a_class_that_has_just_enough() -> None:
    labels, together = np.array([0] * 40 + [1] * 12), np.array([*range(40), *[40] * 8, *[41] * 2, *[42] * 2])

    for seed in range(20):
        assert (np.array(counts(drawn_parts(drawing(labels, together, classes=2), StratifiedSplit(seed=seed)), labels, 2)) > 0).all()


def test_a_class_of_too_few_rows_or_of_too_few_that_differ_cannot_be_divided() -> None:
    two_copied = np.array([*range(9), 9, 9, 9, 10, 10])
    with pytest.raises(UnusableData, match="class 'b' has 2 rows, and training, validation and test need 3"):
        drawn_parts(drawing(np.array([0, 0, 0, 1, 1]), classes=2), StratifiedSplit())
    with pytest.raises(UnusableData, match="rows of class 'b' come in 2 units, and training, validation and test need 3"):
        drawn_parts(drawing(np.array([0] * 9 + [1] * 5), two_copied, classes=2), StratifiedSplit())
    with pytest.raises(UnusableData, match="class 'b' has 4 rows, and 5 folds need 5"):
        drawn_parts(drawing(np.array([0] * 9 + [1] * 4), classes=2), StratifiedSplit(folds=5, fold=0))


@settings(max_examples=30, deadline=None)
@given(
    times=st.lists(st.integers(0, 12), min_size=30, max_size=80).filter(lambda them: len(set(them)) > 2), test=st.sampled_from([0.0, 0.2])
)
def test_no_row_is_earlier_than_one_of_an_earlier_part_and_equal_times_stay_together(times: list[int], test: float) -> None:
    moments = np.array(times, dtype=np.float64)

    parts = timed_parts(moments, TimeSplit(column="day", test=test))

    used = (0, 1, 2) if test else (0, 1)
    assert sorted(set(parts.tolist())) == list(used)
    for earlier, later in pairwise(used):
        assert moments[parts == earlier].max() < moments[parts == later].min()


def test_times_that_all_differ_are_cut_at_the_shares() -> None:
    parts = timed_parts(np.arange(100.0)[::-1], TimeSplit(column="day"))

    assert parts.tolist() == [2] * 20 + [1] * 15 + [0] * 65


def test_two_times_cannot_be_cut_into_three_parts() -> None:
    with pytest.raises(UnusableData, match="'day' holds 2 different times, and the parts need 3"):
        timed_parts(np.array([1.0, 1.0, 2.0]), TimeSplit(column="day"))


def test_a_column_names_the_parts() -> None:
    assert named_parts(["test", "train", "validation"], "part").tolist() == [2, 0, 1]


def test_another_name_in_the_split_column_is_refused_by_name() -> None:
    with pytest.raises(UnusableData, match="'part' cannot divide the rows: it holds None, dev"):
        named_parts(["train", "dev", None], "part")
