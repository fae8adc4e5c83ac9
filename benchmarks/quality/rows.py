"""A table as the service would read it, and the rows of each split as trees would have them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.quality.index import Entry
from counterweight.contracts.datasets import ClassShare, DatasetOptions, TableFacts
from counterweight.contracts.jobs import JobSpec, ResolvedSpec
from counterweight.contracts.messages import IngestRefused, IngestTask
from service.domain.submission import DatasetChoices, settle
from workers.ingest.reader import ingest
from workers.training.encoding import Encoding, NumericColumn
from workers.training.prepared import Prepared, TableFile, prepare

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """A canonical table in a folder of its own; `whole_rows` is how many rows it had before some were drawn."""

    name: str
    folder: Path
    sha256: str
    facts: TableFacts
    exclude: list[str]
    whole_rows: int

    @property
    def path(self) -> Path:
        return self.folder / "table.parquet"

    def spec(self, split: int, **settings: Any) -> ResolvedSpec:
        """Return a job on one split of the rows, settled as the service would."""
        spec = JobSpec.model_validate({"dataset_id": self.name, "split": {"kind": "stratified", "seed": split}, **settings})
        return settle(spec, self.facts, DatasetChoices(self.name, self.exclude))[0]

    def prepared(self, split: int) -> Prepared:
        """Return the split's rows, encoded: what a job with `spec(split)` trains on."""
        return prepare(TableFile(self.path, self.sha256), None, self.facts, self.spec(split), self.folder, 1)


@dataclass(frozen=True)
class TreeRows:
    """Numbers and categories (rows, columns), NaN where missing, and which are categories; `flags` are the same as networks see them."""

    columns: Floats
    is_category: NDArray[np.bool_]
    flags: Floats
    labels: Ints

    def __getitem__(self, rows: slice) -> "TreeRows":
        return TreeRows(self.columns[rows], self.is_category, self.flags[rows], self.labels[rows])


def read(entry: Entry, home: Path, most_rows: int) -> Table:
    """Read a table; of more than `most_rows` rows, so many are drawn with a fixed seed, of each class its share."""
    folder = home / entry.name
    folder.mkdir()
    options = DatasetOptions.model_validate(entry.options)
    result = ingest(IngestTask(source=str(entry.file), folder=str(folder), options=options))
    if isinstance(result, IngestRefused):
        raise ValueError(f"{entry.name}: {result.detail}")
    facts, path = result.facts, folder / result.table
    if facts.rows > most_rows:
        facts = _draw(path, facts, most_rows)
    return Table(entry.name, folder, hashlib.sha256(path.read_bytes()).hexdigest(), facts, entry.exclude, result.facts.rows)


def _draw(path: Path, facts: TableFacts, most_rows: int) -> TableFacts:
    table = pq.read_table(path)
    labels = np.array(table.column(facts.target).cast(pa.string()).to_pylist())
    source, kept = np.random.default_rng(0), []
    for share in facts.classes:
        rows = source.permutation(np.flatnonzero(labels == share.label))
        kept.append(rows[: max(1, round(len(rows) * most_rows / len(labels)))])
    drawn = np.sort(np.concatenate(kept))
    pq.write_table(table.take(pa.array(drawn)), path)
    counts = [int((labels[drawn] == share.label).sum()) for share in facts.classes]
    classes = [
        ClassShare(label=share.label, count=count, fraction=count / len(drawn)) for share, count in zip(facts.classes, counts, strict=True)
    ]
    return facts.model_copy(update={"rows": len(drawn), "classes": classes})


def tree_rows(prepared: Prepared, positive: str) -> TreeRows:
    """Return the prepared rows, in their order, with label 1 for the positive class: nothing of what the encoding knows is withheld."""
    assert isinstance(prepared.encoding, Encoding)
    features = prepared.features.numpy().astype(np.float64)
    columns, is_category = [], []
    number, flag = 0, len(prepared.encoding.numeric)
    for column in prepared.encoding.columns:
        flags = features[:, flag : flag + column.flags]
        if isinstance(column, NumericColumn):
            values = np.where(flags[:, 0] == 1, np.nan, features[:, number]) if column.flags_missing else features[:, number]
            number += 1
        else:
            # The last flag of a column that flags missing cells is that flag; no flag at all is a text never seen in training.
            is_known = flags[:, : column.flags - column.flags_missing].any(axis=1)
            values = np.where(is_known, flags.argmax(axis=1), np.nan)
        columns.append(values)
        is_category.append(not isinstance(column, NumericColumn))
        flag += column.flags
    labels = (prepared.labels.numpy() == prepared.classes.index(positive)).astype(np.int64)
    return TreeRows(np.stack(columns, axis=1), np.array(is_category), features, labels)
