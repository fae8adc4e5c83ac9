"""Rows that are exact copies of another are told of when a file is read."""

from tests.ingest.conftest import Read
from tests.ingest.pictures import picture, two_classes, zipped

ROWS = ["1,a,,yes", "1,a,,yes", "1,a,,no", "1,a,0,yes", "2,b,,no", "2,b,,no", "2,b,,no"]


def table(rows: list[str]) -> str:
    return "\n".join(["x,c,gap,y", *rows, ""])


def told(read: Read, rows: list[str], **options: object) -> list[str]:
    return [note for note in read(table(rows), target="y", **options).facts.notes if "cop" in note]


def test_copies_are_counted_in_features_and_class_with_missing_cells_alike(read: Read) -> None:
    assert told(read, ROWS) == [
        "3 of 7 rows are exact copies of another, in features and class; a split by chance keeps copies in one part."
    ]


def test_columns_that_are_no_features_make_no_row_another(read: Read) -> None:
    numbered = [f"{number},{row.partition(',')[2]}" for number, row in enumerate(ROWS)]

    assert told(read, numbered) == []
    assert told(read, numbered, exclude=["x"])[0].startswith("3 of 7 rows")
    assert told(read, numbered, group_column="x")[0].startswith("3 of 7 rows")


def test_a_single_copy_is_told_of_in_good_english(read: Read) -> None:
    assert told(read, ROWS[:3])[0].startswith("1 row is an exact copy of another")


def test_texts_that_name_rows_make_no_row_another(read: Read) -> None:
    named = [f"{number % 3},name {number},,{'yes' if number % 2 else 'no'}" for number in range(100)]

    assert told(read, named)[0].startswith("94 of 100 rows")


def test_images_of_equal_pixels_are_copies_whatever_their_files_are_called(read: Read) -> None:
    notes = read(zipped({**two_classes(), "cat/again.png": picture(seed=0), "dog/cat.png": picture(seed=1)})).facts.notes

    assert notes[-1].startswith("1 row is an exact copy of another")
