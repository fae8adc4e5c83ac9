"""What every ingest test starts from: a file with some content, read with some options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from counterweight.contracts.datasets import DatasetOptions, TableFacts
from counterweight.contracts.messages import Ingested, IngestRefused, IngestTask
from workers.ingest.reader import ingest

Read = Callable[..., "Result"]
Refuse = Callable[..., IngestRefused]


class Result:
    """A table that was read: its facts, and its values by column."""

    def __init__(self, ingested: Ingested, folder: Path) -> None:
        self.facts: TableFacts = ingested.facts
        self.path = folder / ingested.table

    def column(self, name: str) -> list[Any]:
        values: list[Any] = pq.read_table(self.path).column(name).to_pylist()
        return values

    def type_of(self, name: str) -> str:
        return next(column.type for column in self.facts.columns if column.name == name)

    @property
    def classes(self) -> dict[str, int]:
        return {share.label: share.count for share in self.facts.classes}


def run(tmp_path: Path, content: bytes | str | Path, **options: Any) -> tuple[Ingested | IngestRefused, Path]:
    if isinstance(content, Path):
        source = content
    else:
        source = tmp_path / "upload"
        source.write_bytes(content.encode() if isinstance(content, str) else content)
    folder = tmp_path / "job"
    folder.mkdir(exist_ok=True)
    task = IngestTask(source=str(source), folder=str(folder), options=DatasetOptions(**options), memory_limit_mb=512, threads=1)
    return ingest(task), folder


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a file that must be readable."""

    def read(content: bytes | str | Path, **options: Any) -> Result:
        answer, folder = run(tmp_path, content, **options)
        assert isinstance(answer, Ingested), answer
        return Result(answer, folder)

    return read


@pytest.fixture
def refuse(tmp_path: Path) -> Refuse:
    """Read a file that must be refused, and must leave nothing in the folder."""

    def refuse(content: bytes | str | Path, **options: Any) -> IngestRefused:
        answer, folder = run(tmp_path, content, **options)
        assert isinstance(answer, IngestRefused), answer
        assert list(folder.iterdir()) == []
        return answer

    return refuse
