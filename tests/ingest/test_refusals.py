"""Broken text tables are refused at once, by line, column and value."""

import gzip
from collections.abc import Callable

import pytest

from tests.ingest.conftest import Refuse

GOOD = "a,b,y\n1,2,no\n3,4,yes\n5,6,no\n7,8,yes\n"
LATE = 20_000


def table_with(line: str) -> str:
    """A long table whose defect stands on line 15,002."""
    rows = [f"{row},{row * 0.5},{'yes' if row % 9 == 0 else 'no'}" for row in range(LATE)]
    rows[15_000] = line
    return "a,b,y\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("15000,no", "too_few_fields"),
        ("15000,1,2,no", "too_many_fields"),
        ('15000,"1,no', "unclosed_quote"),
        ('15000,"1"x,no', "unclosed_quote"),
        ("15000,1\r2,no", "stray_line_end"),
        ("15000,inf,no", "not_finite"),
        ("15000,1e999,no", "not_finite"),
        ("15000,-Infinity,no", "not_finite"),
        ("15000,1,?", "missing_labels"),
        ("15000,1,", "missing_labels"),
        ("15000,1\0,no", "nul_byte"),
    ],
)
def test_a_late_broken_row_is_refused_by_its_line(line: str, code: str, refuse: Refuse) -> None:
    refusal = refuse(table_with(line), target="y")

    assert refusal.code == code
    assert "line 15002" in refusal.detail.lower()


def test_a_broken_row_after_cells_of_several_lines_is_refused_by_its_line_in_the_file(refuse: Refuse) -> None:
    refusal = refuse('a,y\n"one\ntwo\nthree",no\n\n2,yes,3\n4,no\n', target="y")

    assert refusal.code == "too_many_fields"
    assert "Line 6" in refusal.detail


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_alike_for_every_line_end(line_end: str, refuse: Refuse) -> None:
    refusal = refuse(line_end.join(["a,y", "1,no", "2,yes", "3", "4,no", ""]), target="y")

    assert refusal.code == "too_few_fields"
    assert "Line 4" in refusal.detail


def test_a_cell_that_is_not_of_the_told_type_is_refused_by_line_column_and_value(refuse: Refuse) -> None:
    refusal = refuse(table_with("15000,oops,no"), target="y", columns={"b": {"type": "numeric"}})

    assert refusal.code == "bad_cell"
    assert all(told in refusal.detail for told in ("Line 15002", "'b'", "'oops'"))


def test_a_byte_outside_the_told_encoding_is_refused_by_line_and_byte(refuse: Refuse) -> None:
    content = b"a,y\n" + b"1,no\n" * 1000 + b"caf\xe9,yes\n"

    refusal = refuse(content, target="y", encoding="utf-8")

    assert refusal.code == "bad_encoding"
    assert "Line 1002" in refusal.detail
    assert f"byte {content.index(0xE9)}" in refusal.detail


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"\n\n\r\n", "empty_file"),
        (b"\xef\xbb\xbf", "empty_file"),
        (b"a,b,y\n", "no_rows"),
        (b"y\nno\nyes\n", "single_column"),
        (b"a,a,y\n1,2,no\n3,4,yes\n", "duplicate_column"),
        (b"a,A,y\n1,2,no\n3,4,yes\n", "duplicate_column"),
        (b"a,column_0,y,\n", "no_rows"),
        (b",column_0,y\n1,2,no\n3,4,yes\n", "duplicate_column"),
        (b'"a,b,y\n1,2,no\n3,4,yes\n', "unclosed_quote"),
        (bytes(range(256)) * 20, "nul_byte"),
        (b"PK\x03\x04" + bytes(100), "damaged_archive"),
        (b"@relation sick\n@attribute a real\n", "unsupported_format"),
        (b"% a comment\n\n@RELATION sick\n", "unsupported_format"),
        (b"\x93NUMPY\x01\x00", "unsupported_format"),
        (b"ARROW1\x00\x00" + bytes(100), "unsupported_format"),
        (b'{"a": 1}\n{"a": 2}\n', "unsupported_format"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "unsupported_format"),
        (b"<!DOCTYPE html><html></html>", "unsupported_format"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_a_code(content: bytes, code: str, refuse: Refuse) -> None:
    assert refuse(content, target="y").code == code


@pytest.mark.parametrize(("wrap", "whole"), [(bytes, "The content is ARFF;"), (gzip.compress, "The content of the gzip file is ARFF;")])
def test_what_was_found_instead_is_said_as_a_sentence(wrap: Callable[[bytes], bytes], whole: str, refuse: Refuse) -> None:
    assert refuse(wrap(b"@relation sick\n@attribute a real\n"), target="y").detail.startswith(whole)


def test_a_row_that_two_readers_take_differently_is_refused_by_its_line(refuse: Refuse) -> None:
    refusal = refuse('x;y\n1;a\n ".0" .;b\n3;a\n4;b\n', target="y")

    assert refusal.code == "unreadable_row"
    assert "Line 3" in refusal.detail


def test_duplicate_names_are_refused_by_both_positions(refuse: Refuse) -> None:
    refusal = refuse("a,b,a,y\n1,2,3,no\n4,5,6,yes\n", target="y")

    assert "Columns 1 and 3" in refusal.detail


def test_a_line_without_an_end_is_refused_before_it_is_read(refuse: Refuse) -> None:
    assert refuse(b"a,y\n" + b"x" * (40 << 20), target="y").code == "line_too_long"


def test_a_hundred_thousand_columns_are_refused(refuse: Refuse) -> None:
    row = ",".join(["1"] * 100_000)

    assert refuse(f"{row}\n{row}\n{row}\n", target=0).code == "too_many_columns"


def test_truncated_gzip_is_refused(refuse: Refuse) -> None:
    packed = gzip.compress(table_with("15000,1,no").encode())

    assert refuse(packed[: len(packed) // 2], target="y").code == "damaged_gzip"


def test_a_gzip_bomb_is_refused(refuse: Refuse) -> None:
    bomb = gzip.compress(b"a,b,y\n" + b"0,0,0\n" * 12_000_000, compresslevel=1)

    assert refuse(bomb, target="y").code == "gzip_bomb"


def test_a_format_that_the_content_denies_is_refused(refuse: Refuse) -> None:
    assert refuse(GOOD, target="y", format="parquet").code == "format_mismatch"


@pytest.mark.parametrize("encoding", ["idna", "punycode", "unicode_escape"])
def test_an_encoding_that_no_file_has_is_refused(encoding: str, refuse: Refuse) -> None:
    assert refuse(GOOD, target="y", encoding=encoding).code == "bad_encoding"


@pytest.mark.parametrize(
    "options",
    [
        {"target": "Y"},
        {"target": "label"},
        {"target": 3},
        {"target": "y", "exclude": ["c"]},
        {"target": "y", "columns": {"c": {"type": "numeric"}}},
    ],
)
def test_a_column_that_the_file_does_not_have_is_refused(options: dict[str, object], refuse: Refuse) -> None:
    assert refuse(GOOD, **options).code == "unknown_column"


def test_an_unknown_column_is_answered_with_the_names_it_may_have_been(refuse: Refuse) -> None:
    assert "did you mean 'Churn'?" in refuse("a,Churn\n1,no\n2,yes\n3,no\n4,yes\n", target="churn ").detail


def test_a_positive_label_that_no_row_has_is_refused(refuse: Refuse) -> None:
    refusal = refuse(GOOD, target="y", positive_label="maybe")

    assert refusal.code == "unknown_label"
    assert "'no', 'yes'" in refusal.detail


def test_missing_labels_are_counted(refuse: Refuse) -> None:
    refusal = refuse("a,y\n1,no\n2,\n3,yes\n4, \n5,NA\n", target="y")

    assert refusal.code == "missing_labels"
    assert refusal.detail.startswith("3 rows have no label in the target 'y', first on line 3")


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        (["same"] * 50, "one_class"),
        ([f"id{row}" for row in range(50)], "target_not_classes"),
        ([str(row * 0.37 % 7) for row in range(500)], "target_not_classes"),
        ([str(row % 150) for row in range(600)], "target_not_classes"),
        ([f"class {row % 1001}" for row in range(3003)], "target_not_classes"),
    ],
    ids=["constant", "one row per class", "decimals", "amounts", "1001 classes"],
)
def test_a_target_that_is_no_set_of_classes_is_refused(labels: list[str], code: str, refuse: Refuse) -> None:
    content = "a,y\n" + "".join(f"{row},{label}\n" for row, label in enumerate(labels))

    assert refuse(content, target="y").code == code
