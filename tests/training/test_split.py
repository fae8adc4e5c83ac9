"""Dividing the rows."""

import numpy as np
import pytest

from counterweight.contracts.splits import StratifiedSplit
from workers.training.errors import UnusableData
from workers.training.split import named_parts, stratified_parts

LABELS = np.array([0] * 101 + [1] * 7 + [2] * 3)


def test_every_class_is_divided_as_the_contract_counts() -> None:
    split = StratifiedSplit(validation=0.15, test=0.2)

    parts = stratified_parts(LABELS, 3, split)

    for index, rows in enumerate((101, 7, 3)):
        assert tuple(np.bincount(parts[index == LABELS], minlength=3)) == split.part_counts(rows)


def test_the_same_seed_divides_alike_and_another_otherwise() -> None:
    parts = [stratified_parts(LABELS, 3, StratifiedSplit(seed=seed)) for seed in (0, 0, 1)]

    assert (parts[0] == parts[1]).all()
    assert (parts[0] != parts[2]).any()


def test_a_class_with_two_rows_cannot_be_divided() -> None:
    with pytest.raises(UnusableData, match="2 rows cannot give one row to each"):
        stratified_parts(np.array([0, 0, 0, 1, 1]), 2, StratifiedSplit())


def test_a_column_names_the_parts() -> None:
    assert named_parts(["test", "train", "validation"], "part").tolist() == [2, 0, 1]


def test_another_name_in_the_split_column_is_refused_by_name() -> None:
    with pytest.raises(UnusableData, match="'part' cannot divide the rows: it holds None, dev"):
        named_parts(["train", "dev", None], "part")
