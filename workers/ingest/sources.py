"""A table before its types are settled: what to select from, and how to tell a person where a row stands."""

from collections.abc import Callable
from dataclasses import dataclass, field

from counterweight.contracts.datasets import DatasetFormat
from workers.ingest.cells import Notation


@dataclass(frozen=True)
class Source:
    """Columns `c0, c1, …` of `relation` (SQL) hold the cells of `names`; `sql_types` are theirs, all VARCHAR for text tables.

    `place` says where row `index` (0-based) stands in the user's file. `sample` holds some cells of each column. `image_size` is the side
    of the images whose digests the column `image` holds, None of tables.
    """

    format: DatasetFormat
    relation: str
    names: list[str]
    sql_types: list[str]
    rows: int
    notation: Notation
    place: Callable[[int], str]
    sample: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    image_size: int | None = None
