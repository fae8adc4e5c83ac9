"""Small canonical tables with their facts, and tasks to train on them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from counterweight.contracts.datasets import ClassShare, Column, ColumnType, TableFacts
from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.messages import Member, TrainerTask
from workers.training.encoding import Encoding
from workers.training.prepared import Prepared

LEARNER = {"kind": "mlp", "width": 16, "numeric_embedding": "piecewise_linear"}
Cells = Mapping[str, Sequence[Any]]


def column_type(cells: pa.Array) -> ColumnType:
    if pa.types.is_boolean(cells.type):
        return "boolean"
    if pa.types.is_temporal(cells.type):
        return "datetime"
    return "categorical" if pa.types.is_string(cells.type) else "numeric"


def write_table(folder: Path, cells: Cells, target: str, positive: str | None = None) -> tuple[Path, TableFacts]:
    """Write the Parquet file that ingest would, and return it with its facts."""
    table = pa.table({name: pa.array(column) for name, column in cells.items()})
    path = folder / "table.parquet"
    pq.write_table(table, path, row_group_size=100)
    counts = Counter(cells[target])
    columns = [
        Column(
            name=name,
            type=column_type(table.column(name)),
            missing=table.column(name).null_count,
            distinct=len(set(table.column(name).drop_null().to_pylist())),
        )
        for name in table.column_names
    ]
    classes = [ClassShare(label=label, count=counts[label], fraction=counts[label] / len(table)) for label in sorted(counts)]
    return path, TableFacts(format="csv", rows=len(table), columns=columns, target=target, positive_label=positive, classes=classes)


def two_blobs(rows: int = 600, positives: int = 90, seed: int = 0) -> dict[str, list[Any]]:
    """Two overlapping clouds with a colour and some missing cells; the rare class is `yes`."""
    source = np.random.default_rng(seed)
    is_event = np.arange(rows) < positives
    source.shuffle(is_event)
    a = source.normal(size=rows) + 2.0 * is_event
    b = source.normal(size=rows) - 1.0 * is_event
    return {
        "a": a.tolist(),
        "b": [None if blank else value for blank, value in zip(source.random(rows) < 0.1, b.tolist(), strict=True)],
        "colour": source.choice(["red", "green", "blue"], size=rows).tolist(),
        "event": ["yes" if event else "no" for event in is_event],
    }


def three_blobs(rows: int = 600, seed: int = 0) -> dict[str, list[Any]]:
    """Three overlapping clouds of unequal size, `x`, `y` and `z`."""
    source = np.random.default_rng(seed)
    label = source.choice(3, size=rows, p=[0.7, 0.2, 0.1])
    return {
        "a": (source.normal(size=rows) + 2 * (label == 1)).tolist(),
        "b": (source.normal(size=rows) + 2 * (label == 2)).tolist(),
        "kind": [("x", "y", "z")[index] for index in label],
    }


def make_task(folder: Path, specs: Sequence[Mapping[str, Any]] = ({},), cells: Cells | None = None, target: str = "event") -> TrainerTask:
    """Return a task with one member for each spec, which names only what the test is about; `yes` is positive."""
    cells = two_blobs() if cells is None else cells
    positive = "yes" if len(set(cells[target])) == 2 else None
    path, facts = write_table(folder, cells, target, positive)
    cache = folder / "cache"
    cache.mkdir(exist_ok=True)
    members = []
    for index, spec in enumerate(specs):
        home = folder / f"job_{index}"
        home.mkdir(exist_ok=True)
        members.append(Member(job_id=f"job_{index}", spec=make_spec(**{"target": target, **spec}), folder=str(home)))
    return TrainerTask(
        members=members,
        table=str(path),
        table_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        facts=facts,
        cache_folder=str(cache),
        device="cpu",
        threads=1,
    )


def make_spec(**changes: Any) -> ResolvedSpec:
    """Return the spec of a small, short job."""
    training = {"max_epochs": 8, "batch_size": 64} | changes.pop("training", {})
    plain = {"name": "a job", "dataset_id": "ds_1", "target": "event", "learner": LEARNER, "training": training}
    return ResolvedSpec.model_validate(plain | changes)


def encoded_names(found: Prepared) -> list[str]:
    """Return the columns that a network sees."""
    assert isinstance(found.encoding, Encoding)
    return [column.name for column in found.encoding.columns]
