"""A reading process cannot outgrow its limits, nor see more than its job's files."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.messages import IngestTask
from tests.ingest.conftest import Read
from workers.ingest.engine import connect

APPLY = "from workers.ingest.limits import apply; apply(memory_limit_mb=256, cpu_seconds=5, largest_file_bytes=1000); "


def limited(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", APPLY + code], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=30, check=False
    )


def test_address_space_is_limited() -> None:
    assert "MemoryError" in limited("bytearray(4 << 30)").stderr


def test_file_size_is_limited(tmp_path: Path) -> None:
    assert (
        "File too large"
        in limited(
            f"open({str(tmp_path / 'f')!r}, 'wb', 0).write(bytes(1000) * 2); open({str(tmp_path / 'f')!r}, 'ab', 0).write(bytes(1000))"
        ).stderr
    )


def test_open_files_are_limited() -> None:
    assert "Too many open files" in limited("kept = [open('/dev/null') for _ in range(300)]").stderr


@pytest.fixture
def database(tmp_path: Path) -> duckdb.DuckDBPyConnection:
    (tmp_path / "job").mkdir()
    task = IngestTask(
        source=str(tmp_path / "upload"), folder=str(tmp_path / "job"), options=DatasetOptions(), memory_limit_mb=256, threads=1
    )
    return connect(task, tmp_path / "job" / "spill")


def test_the_database_sees_no_other_file(database: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")

    with pytest.raises(duckdb.PermissionException):
        database.execute(f"SELECT * FROM read_csv('{secret}')")


def test_the_database_cannot_be_opened_up_again(database: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.InvalidInputException):
        database.execute("SET enable_external_access = true")


def test_names_with_quotes_in_them_are_names(read: Read) -> None:
    result = read('"\'); DROP TABLE x; --",y\n1,a\n2,b\n3,a\n4,b\n', target="y", null_values=["');--"])

    assert result.column("'); DROP TABLE x; --") == [1.0, 2.0, 3.0, 4.0]


def test_hundreds_of_columns_are_read(read: Read) -> None:
    header = ",".join(["y", *(f"x{position}" for position in range(299))])
    rows = "\n".join(",".join(["ab"[row % 2], *(["1.5"] * 299)]) for row in range(8))

    assert len(read(f"{header}\n{rows}\n", target="y").facts.columns) == 300
