"""Which rows train, which choose, which judge."""

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.splits import PARTS, StratifiedSplit
from workers.training.errors import UnusableData


def stratified_parts(labels: NDArray[np.int64], classes: int, split: StratifiedSplit) -> NDArray[np.int8]:
    """Return the part of each row as an index into `PARTS`.

    Each class is divided by `split.part_counts`, its rows drawn by `split.seed` alone: jobs that differ in their training seed
    train, choose and judge on the same rows.
    """
    generator = np.random.Generator(np.random.PCG64(split.seed))
    parts = np.empty(len(labels), dtype=np.int8)
    for index in range(classes):
        rows = generator.permutation(np.flatnonzero(labels == index))
        try:
            counts = split.part_counts(len(rows))
        except ValueError as refusal:
            raise UnusableData(f"class number {index} of the target: {refusal}", "merge or drop classes with under 3 rows") from None
        parts[rows] = np.repeat(np.arange(len(PARTS), dtype=np.int8), counts)
    return parts


def named_parts(names: list[str | None], column: str) -> NDArray[np.int8]:
    """Return the part of each row as an index into `PARTS`, from the cells of a column that names them."""
    known: dict[str | None, int] = {name: index for index, name in enumerate(PARTS)}
    unknown = sorted({str(name) for name in names if name not in known})
    if unknown:
        raise UnusableData(
            f"column {column!r} cannot divide the rows: it holds {', '.join(unknown[:5])}",
            "every cell must be train, validation or test",
        )
    return np.array([known[name] for name in names], dtype=np.int8)
