"""Where the pieces of a number's piecewise-linear embedding meet: learnt from the training rows alone."""

import heapq
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.base import View
from counterweight.contracts.learners import NumericEmbedding
from workers.training.encoding import Encoding

PIECES = 32
"""Pieces of a column, at most."""
THINNEST = 1e-5
"""Pieces are at least this wide: thinner ones are lost in float32."""
FEWEST_VALUES = 3
"""A column of two values needs no pieces: a line goes through both."""
FEWEST_ROWS = 8
"""On either side of a cut that looks at the classes there are at least so many rows, and a hundredth of all."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Edges = tuple[tuple[float, ...], ...]
"""The rising edges of each column's pieces; none for a column that needs no pieces."""


class Bins(View):
    """The edges of every numeric column, by either kind of bins."""

    quantile: Edges = ()
    target: Edges = ()

    def of(self, embedding: NumericEmbedding) -> Edges:
        """Return the edges of an embedding; () where no column has pieces."""
        edges: dict[NumericEmbedding, Edges] = {"none": (), "piecewise_linear": self.quantile, "piecewise_linear_target": self.target}
        return edges[embedding] if any(edges[embedding]) else ()


def fit_bins(encoding: Encoding, features: NDArray[np.float32], labels: Ints, classes: int) -> Bins:
    """Return the bins of training rows with these encoded features (rows, width) and labels (rows,)."""
    columns = [(numbers, labels[known]) for numbers, known in _known(encoding, features)]
    return Bins(
        quantile=tuple(quantile_edges(numbers) for numbers, _ in columns),
        target=tuple(target_edges(numbers, of_numbers, classes) for numbers, of_numbers in columns),
    )


def quantile_edges(numbers: Floats) -> tuple[float, ...]:
    """Return where pieces with equally many rows meet."""
    if len(np.unique(numbers)) < FEWEST_VALUES:
        return ()
    return _apart(np.quantile(numbers, np.linspace(0, 1, PIECES + 1)))


def target_edges(numbers: Floats, labels: Ints, classes: int) -> tuple[float, ...]:
    """Return where a decision tree on this column alone would cut it, best cut first, by Gini impurity.

    Gorishniy et al., 2022, arXiv:2203.05556, section 3.2.2.
    """
    values, place = np.unique(numbers, return_inverse=True)
    if len(values) < FEWEST_VALUES:
        return ()
    # below[i, c] rows of class c have less than values[i].
    below = np.zeros((len(values) + 1, classes))
    np.add.at(below[1:], (place, labels), 1)
    below = below.cumsum(axis=0)
    fewest = max(FEWEST_ROWS, len(numbers) // 100)
    cuts: list[int] = []
    waiting = list(_best_cut(below, 0, len(values), fewest))
    while waiting and len(cuts) < PIECES - 1:
        _, low, high, cut = heapq.heappop(waiting)
        cuts.append(cut)
        for part in ((low, cut), (cut, high)):
            for found in _best_cut(below, *part, fewest):
                heapq.heappush(waiting, found)
    inner = sorted((values[cut - 1] + values[cut]) / 2 for cut in cuts)
    return _apart(np.array([values[0], *inner, values[-1]])) if inner else ()


def _best_cut(below: Floats, low: int, high: int, fewest: int) -> Iterator[tuple[float, int, int, int]]:
    """Yield the cut of the values from `low` to `high` that lowers the impurity most, with minus what it gains; none if none gains."""
    left, right = below[low + 1 : high] - below[low], below[high] - below[low + 1 : high]
    gains = _impurity(below[high] - below[low]) - _impurity(left) - _impurity(right)
    gains[np.minimum(left.sum(axis=1), right.sum(axis=1)) < fewest] = 0
    if len(gains) and gains.max() > 1e-9:
        best = int(gains.argmax())
        yield -float(gains[best]), low, high, low + 1 + best


def _impurity(counts: Floats) -> Floats:
    """Return the rows of each side with these counts of the classes (..., C), times their Gini impurity."""
    rows = counts.sum(axis=-1)
    return np.asarray(rows - (counts**2).sum(axis=-1) / np.maximum(rows, 1))


def _apart(edges: Floats) -> tuple[float, ...]:
    """Return rising edges without those too near to the one before; none where they leave a single piece."""
    kept: list[float] = []
    for edge in edges.tolist():
        if not kept or edge - kept[-1] > THINNEST:
            kept.append(edge)
    return tuple(kept) if len(kept) > 2 else ()


def _known(encoding: Encoding, features: NDArray[np.float32]) -> Iterator[tuple[Floats, NDArray[np.bool_]]]:
    """Yield the known numbers of each numeric column, and which rows they are of."""
    flag = len(encoding.numeric)
    number = 0
    for column in encoding.columns:
        if column.kind == "numeric":
            known = features[:, flag] == 0 if column.flags_missing else np.ones(len(features), dtype=bool)
            yield features[known, number].astype(np.float64), known
            number += 1
        flag += column.flags
