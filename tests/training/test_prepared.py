"""The cache of prepared tables."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from counterweight.contracts.messages import TrainerTask
from tests.training.tables import make_task, two_blobs
from workers.training import table
from workers.training.errors import UnusableData
from workers.training.prepared import Prepared, prepare


def prepared(task: TrainerTask, member: int = 0) -> Prepared:
    spec = task.members[member].spec
    return prepare(Path(task.table), task.table_sha256, task.facts, spec, Path(task.cache_folder), threads=1)


def cached(task: TrainerTask, ending: str) -> list[Path]:
    return sorted(Path(task.cache_folder).glob(f"*.{ending}"))


def replace_file(path: Path, content: bytes) -> None:
    """Put other content at a path, and leave the old file to whoever has it mapped."""
    path.unlink()
    path.write_bytes(content)


def same(first: Prepared, second: Prepared) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in ("features", "labels", "rows"))


def test_rows_come_by_part_and_keep_their_number_in_the_file(tmp_path: Path) -> None:
    cells = two_blobs()
    task = make_task(tmp_path, cells=cells)

    found = prepared(task)

    assert sorted(found.rows.tolist()) == list(range(600))
    assert [found.classes[label] for label in found.labels] == [cells["event"][row] for row in found.rows]
    assert found.class_counts("train") == (332, 59)


def test_a_second_job_does_not_read_the_table_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = make_task(tmp_path)
    first = prepared(task)
    monkeypatch.setattr(table, "read_table", lambda *_: pytest.fail("the table was read again"))

    assert same(prepared(task), first)


@pytest.mark.parametrize(
    "spec",
    [{"split": {"kind": "stratified", "seed": 1}}, {"exclude": ["a"]}],
    ids=["split", "exclude"],
)
def test_another_split_or_choice_of_columns_is_another_cache(tmp_path: Path, spec: dict[str, Any]) -> None:
    task = make_task(tmp_path, [{}, spec])

    prepared(task, 0)
    prepared(task, 1)

    assert len(cached(task, "safetensors")) == 2


def test_another_loss_or_training_seed_shares_the_cache(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{}, {"loss": {"kind": "focal"}, "training": {"seed": 5}}])

    prepared(task, 0)
    prepared(task, 1)

    assert len(cached(task, "safetensors")) == 1


@pytest.mark.parametrize("ending", ["safetensors", "json"])
@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 100])
def test_a_damaged_file_is_made_anew(tmp_path: Path, ending: str, damage: bytes) -> None:
    task = make_task(tmp_path)
    first = prepared(task)
    (path,) = cached(task, ending)
    whole = path.read_bytes()
    replace_file(path, damage)

    again = prepared(task)

    assert same(first, again)
    assert path.read_bytes() == whole


def test_one_changed_byte_is_noticed(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    first = prepared(task).features.clone()
    (path,) = cached(task, "safetensors")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    replace_file(path, bytes(content))

    assert torch.equal(prepared(task).features, first)


def test_jobs_that_prepare_at_once_all_get_the_whole(tmp_path: Path) -> None:
    task = make_task(tmp_path)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: prepared(task), range(8)))

    assert all(same(found[0], each) for each in found)
    assert len(list(Path(task.cache_folder).iterdir())) == 2


def test_the_split_column_divides_the_rows_and_is_no_feature(tmp_path: Path) -> None:
    parts = (["train"] * 4 + ["validation", "test"]) * 100
    task = make_task(tmp_path, [{"split": {"kind": "column", "column": "part"}}], cells=two_blobs() | {"part": parts})

    found = prepared(task)

    assert found.part_rows == (400, 100, 100)
    assert [parts[row] for row in found.rows] == ["train"] * 400 + ["validation"] * 100 + ["test"] * 100
    assert "part" not in [column.name for column in found.encoding.columns]


def test_excluded_columns_are_no_features(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"exclude": ["a", "colour"]}])

    assert [column.name for column in prepared(task).encoding.columns] == ["b"]


def test_a_target_the_table_was_not_read_with_is_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"target": "colour"}])

    with pytest.raises(UnusableData, match="target 'colour' is not the one"):
        prepared(task)
