"""How much each row counts in training."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workers.training.errors import UnusableData
from workers.training.table import numbers_as_they_are


def row_weights(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return the weight of each row; UnusableData, naming the first such row, where one is missing, negative or not finite."""
    weights = numbers_as_they_are(table, name)
    wrong = np.flatnonzero(~((weights >= 0) & np.isfinite(weights)))
    if len(wrong):
        row = int(wrong[0])
        found = "no weight" if table.column(name)[row].as_py() is None else f"{weights[row]:g}"
        more = "" if len(wrong) == 1 else f", and {len(wrong) - 1:,} more like it"
        raise UnusableData(f"column {name!r} holds {found} in row {row}{more}; a weight is a number of 0 or more", "mend these rows")
    return weights


def check_class_weights(weights: NDArray[np.float64], labels: NDArray[np.int64], classes: tuple[str, ...]) -> None:
    """Raise UnusableData where all rows of a class count for nothing."""
    for label, weight in zip(classes, np.bincount(labels, weights, len(classes)).tolist(), strict=True):
        if weight == 0:
            raise UnusableData(f"the training rows of class {label!r} all have weight 0", "give some of them a weight, or drop the class")
