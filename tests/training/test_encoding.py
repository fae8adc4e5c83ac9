"""From columns to numbers."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from counterweight.contracts.datasets import MOST_CATEGORIES, Column
from tests.training.tables import column_type
from workers.training.encoding import CategoricalColumn, Encoding, NumericColumn, fit_encoding
from workers.training.errors import UnusableData


def a_table(**cells: list[Any]) -> pa.Table:
    return pa.table({name: pa.array(column) for name, column in cells.items()})


def fitted(table: pa.Table, training_rows: int | None = None) -> Encoding:
    columns = [Column(name=name, type=column_type(table.column(name)), missing=0, distinct=0) for name in table.column_names]
    return fit_encoding(table, columns, np.arange(table.num_rows if training_rows is None else training_rows))


def numeric(encoding: Encoding) -> NumericColumn:
    (column,) = encoding.columns
    assert isinstance(column, NumericColumn)
    return column


def categorical(encoding: Encoding) -> CategoricalColumn:
    (column,) = encoding.columns
    assert isinstance(column, CategoricalColumn)
    return column


def test_numbers_have_mean_0_and_deviation_1_in_the_training_rows() -> None:
    table = a_table(a=[1.0, 2.0, 3.0, 4.0])

    features = fitted(table).encode(table)

    assert features.mean() == pytest.approx(0, abs=1e-7)
    assert features.std() == pytest.approx(1)


def test_only_training_rows_teach_the_encoding() -> None:
    same = a_table(a=[1.0, 2.0, 3.0, 50.0], b=["x", "x", "x", "x"], c=["u", "u", "v", "u"])
    other = a_table(a=[1.0, 2.0, 3.0, -9.0], b=["x", "x", "x", "y"], c=["u", "u", "v", None])

    assert fitted(same, training_rows=3) == fitted(other, training_rows=3)


def test_a_missing_number_is_the_mean_with_a_flag() -> None:
    table = a_table(a=[1.0, None, 3.0])

    features = fitted(table).encode(table)

    np.testing.assert_allclose(features, [[-1, 0], [0, 1], [1, 0]])


def test_a_number_missing_only_outside_the_training_rows_is_the_mean() -> None:
    table = a_table(a=[1.0, 3.0, None])

    features = fitted(table, training_rows=2).encode(table)

    np.testing.assert_allclose(features, [[-1], [1], [0]])


@pytest.mark.parametrize("cell", [float("inf"), float("-inf"), float("nan")])
def test_a_cell_that_is_no_finite_number_is_refused_by_column(cell: float) -> None:
    with pytest.raises(UnusableData, match="'speed' holds NaN or infinite"):
        fitted(a_table(speed=[1.0, cell, 2.0]))


def test_categories_become_flags_by_falling_frequency() -> None:
    table = a_table(c=["red"] * 3 + ["blue"] * 4)

    encoding = fitted(table)

    assert categorical(encoding).categories == ["blue", "red"]
    assert encoding.encode(table)[[0, -1]].tolist() == [[0, 1], [1, 0]]


def test_rare_and_unseen_categories_share_a_flag() -> None:
    training = a_table(c=["red"] * 5 + ["blue"] * 5 + ["odd", "odder"])

    features = fitted(training).encode(a_table(c=["odd", "odder", "never seen", "red"]))

    assert features.argmax(axis=1).tolist() == [2, 2, 2, 1]


def test_an_unseen_category_is_none_where_no_training_row_was_rare() -> None:
    training = a_table(c=["red"] * 5 + ["blue"] * 5)

    features = fitted(training).encode(a_table(c=["never seen", None]))

    assert not features.any()


def test_a_missing_category_has_its_own_flag() -> None:
    table = a_table(c=["red"] * 5 + [None] * 5)

    features = fitted(table).encode(table)

    assert features[[0, -1]].tolist() == [[1, 0], [0, 1]]


def test_no_more_than_64_categories_get_a_flag() -> None:
    table = a_table(c=[f"c{row % 100:02}" for row in range(1000)])

    encoding = fitted(table)

    assert encoding.width == MOST_CATEGORIES + 1


def test_a_text_that_names_rows_is_left_out_and_told() -> None:
    table = a_table(name=[f"person {row}" for row in range(200)], a=list(range(200)))

    encoding = fitted(table)

    assert [column.name for column in encoding.columns] == ["a"]
    assert "column 'name' is not used: nearly all of its cells differ" in encoding.notes[0]


def test_a_constant_column_is_left_out_and_told() -> None:
    table = a_table(one=[7, 7, 7], same=["x", "x", "x"], a=[1, 2, 3])

    encoding = fitted(table)

    assert encoding.notes == [
        "column 'one' is not used: it is 7 in all training rows",
        "column 'same' is not used: it is 'x' in all training rows",
    ]


def test_an_empty_column_is_left_out() -> None:
    table = a_table(nothing=pa.nulls(3, pa.float64()), a=[1, 2, 3])

    assert "'nothing' is not used: it has no value" in fitted(table).notes[0]


def test_a_table_without_any_useful_column_is_refused() -> None:
    with pytest.raises(UnusableData, match="no column is left to learn from"):
        fitted(a_table(one=[7, 7, 7]))


def test_truths_and_moments_are_numbers() -> None:
    start = datetime(2026, 1, 1)
    table = a_table(truth=[True, False, True, False], moment=[start + timedelta(days=day) for day in range(4)])

    features = fitted(table).encode(table)

    np.testing.assert_allclose(features[:, 0], [1, -1, 1, -1])
    np.testing.assert_allclose(np.diff(features[:, 1]), 2 / 5**0.5, rtol=1e-6)


def test_row_groups_with_other_dictionaries_give_the_same_features() -> None:
    cells = ["a", "b"] * 3 + ["c", "b"] * 3
    whole = pa.table({"c": pa.array(cells).dictionary_encode()})
    parts = pa.concat_tables([pa.table({"c": pa.array(half).dictionary_encode()}) for half in (cells[:6], cells[6:])])

    first = fit_encoding(whole, [Column(name="c", type="categorical", missing=0, distinct=3)], np.arange(12))
    second = fit_encoding(parts, [Column(name="c", type="categorical", missing=0, distinct=3)], np.arange(12))

    assert first == second
    assert (first.encode(whole) == second.encode(parts)).all()


def test_an_encoding_survives_its_json() -> None:
    table = a_table(a=[1.5, None, 3.0, 4.0], c=["x", "y", None, "x"])
    encoding = fitted(table)

    read = Encoding.model_validate_json(encoding.model_dump_json())

    assert (read.encode(table) == encoding.encode(table)).all()


def test_each_feature_has_its_place_with_its_column() -> None:
    table = a_table(a=[1.0, None, 3.0, 4.0] * 2, b=["x", "x", "y", "y"] * 2, c=[1.0, 2.0, 3.0, 4.0] * 2, d=["u", None, "u", "v"] * 2)
    encoding = fitted(table)
    features = encoding.encode(table)

    assert sorted(place for places in encoding.places.values() for place in places) == list(range(encoding.width))
    for name, places in encoding.places.items():
        others = a_table(**{column: table[column].to_pylist() for column in table.column_names} | {name: table[name].to_pylist()[::-1]})
        assert np.flatnonzero((encoding.encode(others) != features).any(axis=0)).tolist() == places
