"""Parquet files: values kept, labels as a person writes them, damage refused."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.messages import Ingested, IngestRefused, IngestTask
from tests.ingest.conftest import Read, Refuse
from workers.ingest.reader import ingest

LABELS = ["a", "b", "a", "b"]


def parquet(path: Path, **columns: Any) -> Path:
    target = path / "upload.parquet"
    pq.write_table(pa.table(columns), target)
    return target


@pytest.mark.parametrize(
    ("labels", "written"),
    [
        (pa.array([0, 1, 0, 1]), {"0": 2, "1": 2}),
        (pa.array([0.0, 1.0, 0.0, 1.0]), {"0": 2, "1": 2}),
        (pa.array([-1.0, 1.0, 1.0, -1.0], pa.float32()), {"-1": 2, "1": 2}),
        (pa.array([0.5, 1.0, 0.5, 1.0]), {"0.5": 2, "1": 2}),
        (pa.array([True, False, True, False]), {"false": 2, "true": 2}),
        (pa.array(["'x'", " y", "x", "y"]), {"x": 2, "y": 2}),
        (pa.array(["x", "y", "x", "y"]).dictionary_encode(), {"x": 2, "y": 2}),
        (pa.array([Decimal("1.0"), Decimal("2.0"), Decimal("1.0"), Decimal("2.0")]), {"1": 2, "2": 2}),
        (pa.array([2**53 + 1, 5, 2**53 + 1, 5]), {"5": 2, str(2**53 + 1): 2}),
    ],
)
def test_labels_are_written_as_a_person_would(labels: pa.Array, written: dict[str, int], read: Read, tmp_path: Path) -> None:
    assert read(parquet(tmp_path, x=[1, 2, 3, 4], y=labels), target="y").classes == written


def test_values_keep_their_type(read: Read, tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        whole=[2**62 + 1, 2, None, 4],
        half=[0.5, float("nan"), None, 1e300],
        text=["007", " a", "", None],
        truth=[True, None, False, True],
        day=[date(2026, 1, 31), None, date(2026, 2, 1), date(2026, 2, 2)],
        moment=[datetime(2026, 1, 31, 12), None, datetime(2026, 2, 1), datetime(2026, 2, 2)],
        y=LABELS,
    )

    result = read(path, target="y")

    assert result.column("whole") == [2**62 + 1, 2, None, 4]
    assert result.column("half") == [0.5, None, None, 1e300]
    assert result.column("text") == ["007", " a", "", None] or result.column("text") == ["007", " a", None, None]
    assert result.column("truth") == [True, None, False, True]
    assert result.column("day")[0] == datetime(2026, 1, 31)
    assert result.column("moment")[0] == datetime(2026, 1, 31, 12)
    assert [column.type for column in result.facts.columns][:6] == ["numeric", "numeric", "categorical", "boolean", "datetime", "datetime"]


def test_a_nan_is_missing_with_a_note(read: Read, tmp_path: Path) -> None:
    result = read(parquet(tmp_path, x=[1.0, float("nan"), 3.0, 4.0], y=LABELS), target="y")

    assert result.facts.columns[0].missing == 1
    assert any("'x'" in note for note in result.facts.notes)


def test_moments_with_a_zone_are_read_in_utc(read: Read, tmp_path: Path) -> None:
    moments = pa.array([datetime(2026, 1, 31, 12)] * 4, pa.timestamp("us", tz="Europe/Berlin"))

    assert read(parquet(tmp_path, x=moments, y=LABELS), target="y").column("x")[0] == datetime(2026, 1, 31, 12)


def test_integers_beyond_64_bits_stay_text(read: Read, tmp_path: Path) -> None:
    result = read(parquet(tmp_path, x=pa.array([2**64 - 1, 1, 2, 3], pa.uint64()), y=LABELS), target="y")

    assert result.column("x") == [str(2**64 - 1), "1", "2", "3"]


def test_decimals_beyond_a_double_stay_text(read: Read, tmp_path: Path) -> None:
    large = 12345678901234567890123

    result = read(parquet(tmp_path, x=pa.array([Decimal(large), None, Decimal(5), Decimal(6)], pa.decimal128(38, 0)), y=LABELS), target="y")

    assert result.column("x") == [str(large), None, "5", "6"]


def test_moments_finer_than_a_microsecond_are_noted(read: Read, tmp_path: Path) -> None:
    result = read(parquet(tmp_path, x=pa.array([1, 1000, 2000, 3000], pa.timestamp("ns")), y=LABELS), target="y")

    assert any("'x': 1 moments" in note for note in result.facts.notes)


def test_a_column_without_a_type_is_all_missing(read: Read, tmp_path: Path) -> None:
    assert read(parquet(tmp_path, x=pa.nulls(4), y=LABELS), target="y").column("x") == [None] * 4


def test_an_infinity_is_refused_by_row_and_column(refuse: Refuse, tmp_path: Path) -> None:
    refusal = refuse(parquet(tmp_path, x=[1.0, 2.0, float("inf"), 4.0], y=LABELS), target="y")

    assert refusal.code == "not_finite"
    assert all(told in refusal.detail for told in ("Row 3", "'x'", "inf"))


def test_text_is_read_as_numbers_when_told(read: Read, tmp_path: Path) -> None:
    result = read(parquet(tmp_path, x=["1", "2.5", None, "007"], y=LABELS), target="y", columns={"x": {"type": "numeric"}})

    assert result.column("x") == [1.0, 2.5, None, 7.0]


def test_numbers_are_read_as_categories_when_told(read: Read, tmp_path: Path) -> None:
    result = read(parquet(tmp_path, x=[1.0, 2.0, 1.0, 2.5], y=LABELS), target="y", columns={"x": {"type": "categorical"}})

    assert result.column("x") == ["1", "2", "1", "2.5"]


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([[1], [2], [3], [4]]),
        pa.array([{"a": 1}] * 4),
        pa.array([b"\x00\xff"] * 4),
        pa.array([[("k", 1)]] * 4, pa.map_(pa.string(), pa.int64())),
    ],
    ids=["list", "struct", "binary", "map"],
)
def test_a_nested_or_binary_column_is_refused_by_name(cells: pa.Array, refuse: Refuse, tmp_path: Path) -> None:
    refusal = refuse(parquet(tmp_path, strange=cells, y=LABELS), target="y")

    assert refusal.code == "unsupported_column"
    assert "'strange'" in refusal.detail


def test_missing_labels_are_refused_by_row(refuse: Refuse, tmp_path: Path) -> None:
    refusal = refuse(parquet(tmp_path, x=[1, 2, 3, 4], y=["a", None, "b", None]), target="y")

    assert refusal.code == "missing_labels"
    assert refusal.detail.startswith("2 rows have no label in the target 'y', first on row 2")


def damaged(whole: bytes, how: str) -> bytes:
    return {
        "cut in half": whole[: len(whole) // 2],
        "no end": whole[:-4],
        "only the magic": b"PAR1",
        "footer of 2 GiB": whole[:-8] + (2**31).to_bytes(4, "little") + b"PAR1",
        "footer of nothing": whole[:-8] + (0).to_bytes(4, "little") + b"PAR1",
        "footer of noise": whole[:-108] + bytes(range(100)) + whole[-8:],
        "pages of noise": whole[:4] + bytes(byte ^ 0x5A for byte in whole[4:120]) + whole[120:],
    }[how]


@pytest.mark.parametrize(
    "how", ["cut in half", "no end", "only the magic", "footer of 2 GiB", "footer of nothing", "footer of noise", "pages of noise"]
)
def test_a_damaged_file_is_refused(how: str, refuse: Refuse, tmp_path: Path) -> None:
    whole = parquet(tmp_path, x=list(range(100)), y=["a", "b"] * 50).read_bytes()

    assert refuse(damaged(whole, how), target="y").code == "damaged_parquet"


def test_a_file_without_rows_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    assert refuse(parquet(tmp_path, x=pa.array([], pa.int64()), y=pa.array([], pa.string())), target="y").code == "no_rows"


def test_names_that_differ_in_case_only_are_refused(refuse: Refuse, tmp_path: Path) -> None:
    assert refuse(parquet(tmp_path, x=[1, 2, 3, 4], X=[1, 2, 3, 4], y=LABELS), target="y").code == "duplicate_column"


def test_an_encrypted_file_is_refused(refuse: Refuse) -> None:
    assert refuse(b"PARE" + bytes(100) + b"PARE", target="y").code == "unsupported_format"


def test_a_format_that_the_content_denies_is_refused(refuse: Refuse, tmp_path: Path) -> None:
    assert refuse(parquet(tmp_path, x=[1, 2, 3, 4], y=LABELS), target="y", format="csv").code == "format_mismatch"


def test_a_label_that_is_no_number_is_a_missing_label(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "y": [0.0, float("nan"), 1.0]}), path)

    answer = ingest(IngestTask(source=str(path), folder=str(tmp_path / "out"), options=DatasetOptions(target="y")))

    assert isinstance(answer, IngestRefused)
    assert answer.code == "missing_labels"


def test_a_number_that_means_missing_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1.5, -999.0, 3.0, 4.0], "n": [1, 2, -999, 4], "y": ["u", "v", "u", "v"]}), path)

    options = DatasetOptions(target="y", null_values=["-999"])
    answer = ingest(IngestTask(source=str(path), folder=str(tmp_path / "out"), options=options))

    assert isinstance(answer, Ingested)
    assert [column.missing for column in answer.facts.columns] == [1, 1, 0]
    assert pq.read_table(tmp_path / "out" / answer.table).column("a").to_pylist() == [1.5, None, 3.0, 4.0]
