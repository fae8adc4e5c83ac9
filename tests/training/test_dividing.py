"""Dividing a table as a job asks for: copies, groups, times, and what is told of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from counterweight.contracts.messages import TrainerTask
from counterweight.contracts.splits import PARTS, StratifiedSplit
from tests.training.tables import encoded_names, make_task, two_blobs
from workers.training.errors import UnusableData
from workers.training.prepared import Prepared, TableFile, prepare

Cells = dict[str, list[Any]]


def prepared(task: TrainerTask) -> Prepared:
    spec = task.members[0].spec
    return prepare(TableFile(Path(task.table), task.table_sha256), None, task.facts, spec, Path(task.cache_folder), threads=1)


def divided(folder: Path, cells: Cells, **spec: Any) -> tuple[np.ndarray, Prepared]:
    """Return the part of each row of the table, and the whole."""
    found = prepared(make_task(folder, [spec], cells=cells))
    parts = np.empty(len(cells["event"]), dtype=np.int64)
    parts[found.rows.numpy()] = np.repeat(np.arange(3), found.part_rows)
    return parts, found


def taken(cells: Cells, rows: Any) -> Cells:
    return {name: [column[row] for row in rows] for name, column in cells.items()}


def with_copies(copies: int = 60) -> Cells:
    """Return two blobs whose last rows are copies of the first ones."""
    return taken(two_blobs(), [*range(600), *range(copies)])


def test_exact_copies_stay_in_one_part_and_are_told_of(tmp_path: Path) -> None:
    parts, found = divided(tmp_path, with_copies())

    assert (parts[:60] == parts[600:]).all()
    assert len(set(parts[:60])) == 3
    assert found.notes == ["60 rows are exact copies of another, in features and class; copies were kept in one part"]


def test_copies_leave_each_class_its_shares(tmp_path: Path) -> None:
    cells = with_copies()

    _, found = divided(tmp_path, cells)

    no, yes = (StratifiedSplit().part_counts(cells["event"].count(label)) for label in ("no", "yes"))
    assert [found.class_counts(part) for part in PARTS] == list(zip(no, yes, strict=True))


def test_the_order_of_a_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "shuffled").mkdir()
    cells, order = with_copies(), np.random.default_rng(1).permutation(660)

    parts, _ = divided(tmp_path, cells)
    shuffled, _ = divided(tmp_path / "shuffled", taken(cells, order))

    assert (shuffled == parts[order]).all()


def test_leaving_out_a_feature_moves_no_row_that_has_no_copies(tmp_path: Path) -> None:
    (tmp_path / "fewer").mkdir()

    parts, _ = divided(tmp_path, two_blobs())
    fewer, _ = divided(tmp_path / "fewer", two_blobs(), exclude=["b"])

    assert (parts == fewer).all()


def test_a_column_added_behind_those_that_tell_rows_apart_moves_no_row(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    cells = with_copies()

    parts, _ = divided(tmp_path, cells)
    more, _ = divided(tmp_path / "more", cells | {"sum": [(a or 0) + (b or 0) for a, b in zip(cells["a"], cells["b"], strict=True)]})

    assert (parts == more).all()


def test_groups_are_drawn_by_their_names_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    split = {"kind": "group", "column": "patient"}

    parts, _ = divided(tmp_path, visits(), split=split)
    other, _ = divided(tmp_path / "other", {"noise": list(range(600))} | visits(), split=split)

    assert (parts == other).all()


def test_rows_that_differ_in_what_is_no_feature_are_copies(tmp_path: Path) -> None:
    cells = with_copies() | {"number": list(range(660))}

    _, found = divided(tmp_path, cells)
    assert found.notes == []
    (tmp_path / "apart").mkdir()
    parts, found = divided(tmp_path / "apart", cells, exclude=["number"])
    assert (parts[:60] == parts[600:]).all()
    assert "60 rows are exact copies" in found.notes[0]


def test_texts_that_name_rows_do_not_make_copies_differ(tmp_path: Path) -> None:
    cells = with_copies() | {"name": [f"row {number}" for number in range(660)]}

    parts, _ = divided(tmp_path, cells)

    assert (parts[:60] == parts[600:]).all()


def test_copies_of_another_class_are_told_of_and_need_not_stay_together(tmp_path: Path) -> None:
    cells = with_copies(30)
    cells["event"][600:] = ["yes" if label == "no" else "no" for label in cells["event"][:30]]

    _, found = divided(tmp_path, cells)

    assert found.notes == ["60 rows have the features of a row of another class: no model can tell these apart"]


def test_a_class_of_one_row_many_times_cannot_be_divided(tmp_path: Path) -> None:
    cells = two_blobs(200, 40)
    first = cells["event"].index("yes")
    rows = [first if label == "yes" else row for row, label in enumerate(cells["event"])]

    with pytest.raises(UnusableData, match=r"rows of class 'yes' come in 1 different rows .* and training, validation and test need 3"):
        divided(tmp_path, taken(cells, rows))


def test_what_copies_keep_from_being_exact_is_told(tmp_path: Path) -> None:
    cells = two_blobs(200, 40)
    yes = [row for row, label in enumerate(cells["event"]) if label == "yes"]
    no = [row for row, label in enumerate(cells["event"]) if label == "no"]

    parts, found = divided(tmp_path, taken(cells, [*no, *yes[:10], *yes[:1] * 40]))

    assert len(set(parts[-40:])) == 1
    assert any(note.startswith("exact copies stay together: class 'yes':") for note in found.notes)


def visits(patients: int = 60) -> Cells:
    """Return two blobs of which ten rows each are of one patient, and a day that rises by one every five rows."""
    return two_blobs() | {"patient": [f"p{row % patients}" for row in range(600)], "day": [row // 5 for row in range(600)]}


def test_no_group_is_in_two_parts_and_the_column_is_no_feature(tmp_path: Path) -> None:
    cells = visits()

    parts, found = divided(tmp_path, cells, split={"kind": "group", "column": "patient"}, exclude=["day"])

    for patient in set(cells["patient"]):
        assert len({part for part, of in zip(parts, cells["patient"], strict=True) if of == patient}) == 1
    assert encoded_names(found) == ["a", "b", "colour"]
    assert np.abs(np.array(found.part_rows) / 600 - [0.65, 0.15, 0.2]).max() < 0.03


def test_a_row_without_group_is_one_by_itself(tmp_path: Path) -> None:
    cells = visits()
    cells["patient"] = [patient if row < 300 else None for row, patient in enumerate(cells["patient"])]

    parts, found = divided(tmp_path, cells, split={"kind": "group", "column": "patient"}, exclude=["day"])

    assert set(parts[300:]) == {0, 1, 2}
    assert found.class_counts("train") == tuple(StratifiedSplit().part_counts(cells["event"].count(label))[0] for label in ("no", "yes"))


@pytest.mark.parametrize("column", ["patient", "number"])
def test_each_group_of_whatever_type_is_tested_in_one_fold(tmp_path: Path, column: str) -> None:
    cells = visits() | {"number": [row % 60 + 0.5 for row in range(600)]}
    tested = np.zeros(600, dtype=np.int64)
    for fold in range(3):
        home = tmp_path / str(fold)
        home.mkdir()
        parts, _ = divided(home, cells, split={"kind": "group", "column": column, "folds": 3, "fold": fold}, exclude=["day"])
        tested += parts == 2

    assert (tested == 1).all()


def test_copies_in_two_groups_are_told_of_when_they_straddle(tmp_path: Path) -> None:
    cells = with_copies() | {"patient": [f"p{row}" for row in range(660)]}

    _, found = divided(tmp_path, cells, split={"kind": "group", "column": "patient"})

    assert found.notes[0].startswith("60 rows are exact copies of another, in features and class; ")
    assert "validation and test rows are copies of training rows: what is measured on them flatters" in found.notes[0]


def test_later_rows_are_tested_on_and_the_time_is_no_feature(tmp_path: Path) -> None:
    parts, found = divided(tmp_path, visits(), split={"kind": "time", "column": "day"}, exclude=["patient"])

    assert parts.tolist() == sorted(parts)
    assert found.part_rows == (390, 90, 120)
    assert "day" not in encoded_names(found)


def test_a_class_that_comes_late_cannot_be_learnt(tmp_path: Path) -> None:
    cells = two_blobs()
    order = sorted(range(600), key=lambda row: cells["event"][row])
    cells = taken(cells, order) | {"day": list(range(600))}

    with pytest.raises(UnusableData, match="class 'yes' would be missing from a part"):
        divided(tmp_path, cells, split={"kind": "time", "column": "day"})


def test_rows_without_a_time_are_refused_with_their_number(tmp_path: Path) -> None:
    cells = visits()
    cells["day"][7] = cells["day"][9] = None

    with pytest.raises(UnusableData, match="'day' says no time in 2 rows, first in row 7"):
        divided(tmp_path, cells, split={"kind": "time", "column": "day"})
