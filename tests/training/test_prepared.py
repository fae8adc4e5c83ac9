"""The cache of prepared tables."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from counterweight.contracts.messages import TrainerTask
from tests.training.tables import encoded_names, make_task, two_blobs
from workers.training import table
from workers.training.errors import UnusableData
from workers.training.prepared import Prepared, TableFile, prepare


def prepared(task: TrainerTask, member: int = 0) -> Prepared:
    spec = task.members[member].spec
    return prepare(TableFile(Path(task.table), task.table_sha256), None, task.facts, spec, Path(task.cache_folder), threads=1)


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
    assert "part" not in encoded_names(found)


def test_excluded_columns_are_no_features(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"exclude": ["a", "colour"]}])

    assert encoded_names(prepared(task)) == ["b"]


def test_a_target_the_table_was_not_read_with_is_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path, [{"target": "colour"}])

    with pytest.raises(UnusableData, match="target 'colour' is not the one"):
        prepared(task)


def test_test_rows_of_another_table_come_last_with_their_own_numbers(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    train = make_task(tmp_path, [{"split": {"kind": "stratified", "test": 0.0}, "test_dataset_id": "ds_2"}])
    other = make_task(tmp_path / "other", cells=two_blobs(rows=100, positives=20, seed=5))
    spec, test_file = train.members[0].spec, TableFile(Path(other.table), other.table_sha256)

    def prepared_with(file: TableFile | None) -> Prepared:
        return prepare(TableFile(Path(train.table), train.table_sha256), file, train.facts, spec, Path(train.cache_folder), threads=1)

    found = prepared_with(test_file)

    assert found.part_rows[2] == 100
    assert found.rows[found.span("test")].tolist() == list(range(100))
    assert sorted(found.rows[:-100].tolist()) == list(range(600))
    assert found.class_counts("test") == (80, 20)
    assert same(found, prepared_with(test_file))
    assert not [note for note in found.notes if "copies" in note]
    with pytest.raises(UnusableData, match="no row is in the test part"):
        prepared_with(None)


def test_a_label_of_the_test_table_that_training_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    cells = two_blobs(rows=100, positives=20)
    cells["event"][3] = "perhaps"
    train = make_task(tmp_path, [{"split": {"kind": "stratified", "test": 0.0}, "test_dataset_id": "ds_2"}])
    other = make_task(tmp_path / "other", cells=cells)
    file, test_file = (TableFile(Path(task.table), task.table_sha256) for task in (train, other))

    with pytest.raises(UnusableData, match="none of the classes"):
        prepare(file, test_file, train.facts, train.members[0].spec, Path(train.cache_folder), threads=1)


def test_test_rows_that_the_training_rows_give_away_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    train = make_task(tmp_path, [{"split": {"kind": "stratified", "test": 0.0}, "test_dataset_id": "ds_2"}])
    cells = {name: column[:100] for name, column in two_blobs().items()}
    other = make_task(tmp_path / "other", cells=cells)
    file, test_file = (TableFile(Path(task.table), task.table_sha256) for task in (train, other))

    found = prepare(file, test_file, train.facts, train.members[0].spec, Path(train.cache_folder), threads=1)

    trained_on = set(found.rows[found.span("train")].tolist())
    given_away = sum(row in trained_on for row in range(100))
    assert found.notes == [f"{given_away} test rows are copies of training rows, in features and class: what is measured on them flatters"]
