"""Where the pieces of numbers meet."""

import numpy as np
import pyarrow as pa
import pytest
from sklearn.tree import DecisionTreeClassifier

from counterweight.contracts.datasets import Column
from workers.training.bins import FEWEST_ROWS, PIECES, THINNEST, fit_bins, quantile_edges, target_edges
from workers.training.encoding import fit_encoding

SOURCE = np.random.default_rng(0)
NUMBERS = SOURCE.normal(size=3200)


def labels_in(numbers: np.ndarray, low: float, high: float) -> np.ndarray:
    return ((numbers > low) & (numbers < high)).astype(np.int64)


def test_quantile_pieces_hold_equally_many_rows() -> None:
    counts, _ = np.histogram(NUMBERS**3, bins=quantile_edges(NUMBERS**3))

    assert counts.tolist() == [100] * PIECES


def test_two_values_need_no_pieces() -> None:
    numbers = np.array([0.0, 1.0] * 50)

    assert quantile_edges(numbers) == ()
    assert target_edges(numbers, np.array([0, 1] * 50), classes=2) == ()


def test_target_pieces_meet_where_the_classes_part() -> None:
    edges = target_edges(NUMBERS, labels_in(NUMBERS, 0.5, 0.9), classes=2)

    assert len(edges) == 4
    assert edges[1:3] == pytest.approx([0.5, 0.9], abs=5e-3)


@pytest.mark.parametrize("classes", [2, 5])
def test_target_pieces_are_those_of_a_decision_tree(classes: int) -> None:
    labels = np.clip(np.abs(NUMBERS * 3 + SOURCE.normal(size=3200)).astype(np.int64), 0, classes - 1)
    tree = DecisionTreeClassifier(max_leaf_nodes=PIECES, min_samples_leaf=32, random_state=0).fit(NUMBERS[:, None], labels)

    edges = target_edges(NUMBERS, labels, classes)

    assert sorted(tree.tree_.threshold[tree.tree_.feature == 0].tolist()) == pytest.approx(edges[1:-1])


def test_a_column_that_tells_nothing_is_not_cut() -> None:
    assert target_edges(NUMBERS, np.zeros(3200, dtype=np.int64), classes=2) == ()
    assert target_edges(np.zeros(3200), labels_in(NUMBERS, 0, 1), classes=2) == ()


def test_no_target_piece_rests_on_few_rows() -> None:
    numbers = NUMBERS[:200]

    edges = target_edges(numbers, SOURCE.integers(0, 2, size=200), classes=2)

    assert len(edges) > 2
    assert np.histogram(numbers, bins=edges)[0].min() >= FEWEST_ROWS


def test_no_piece_is_thinner_than_float32_can_tell() -> None:
    crowded = np.concatenate([NUMBERS, 0.3 + 1e-7 * NUMBERS])

    for edges in (quantile_edges(crowded), target_edges(crowded, labels_in(crowded, 0.3, 0.31), classes=2)):
        assert np.diff(edges).min() > THINNEST


def test_missing_cells_have_no_say() -> None:
    values: list[float | None] = NUMBERS.tolist()
    with_gaps = pa.table({"a": [value for number in values for value in (number, None)], "b": np.tile([0.0, 1.0], 3200)})
    columns = [Column(name=name, type="numeric", missing=0, distinct=0) for name in "ab"]
    encoding = fit_encoding(with_gaps, columns, np.arange(6400))
    labels = np.repeat(labels_in(NUMBERS, 0.5, 0.9), 2)

    bins = fit_bins(encoding, encoding.encode(with_gaps), labels, classes=2)

    scaled = (NUMBERS - NUMBERS.mean()) / NUMBERS.std()
    assert bins.quantile[0] == pytest.approx(quantile_edges(scaled), abs=1e-5)
    assert bins.target[0] == pytest.approx(target_edges(scaled, labels_in(NUMBERS, 0.5, 0.9), classes=2), abs=1e-5)
    assert bins.quantile[1] == ()
