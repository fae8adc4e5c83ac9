"""Delimiters, decimals, headers and encodings are found, or asked for when they cannot be known."""

import codecs
import gzip
from pathlib import Path

import pytest

from tests.ingest.conftest import Read
from workers.ingest.text import transcode

ROWS = [("1.5", "red", "no"), ("2.25", "blue", "yes"), ("3.0", "red", "no"), ("4.75", "green", "yes")]


def lines(delimiter: str, header: str | None = "size,colour,y") -> str:
    head = "" if header is None else header.replace(",", delimiter) + "\n"
    return head + "".join(delimiter.join(row) + "\n" for row in ROWS)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", "   "])
def test_the_delimiter_is_found(delimiter: str, read: Read) -> None:
    result = read(lines(delimiter), target="y")

    assert result.column("size") == [1.5, 2.25, 3.0, 4.75]
    assert result.column("colour") == ["red", "blue", "red", "green"]


@pytest.mark.parametrize("delimiter", [":", "~", "\x01", "^", "é"])
def test_any_delimiter_can_be_told(delimiter: str, read: Read) -> None:
    assert read(lines(delimiter), target="y", delimiter=delimiter).column("size") == [1.5, 2.25, 3.0, 4.75]


def test_blanks_after_the_delimiter_do_not_hide_a_quoted_cell(read: Read) -> None:
    result = read('x, name, y\n1, "a, b", no\n2, "c, d", yes\n3, "e", no\n4, "f", yes\n', target="y")

    assert result.column("name") == ["a, b", "c, d", "e", "f"]


def test_a_file_without_a_header_has_columns_by_position(read: Read) -> None:
    result = read(lines(",", header=None), target=2)

    assert [column.name for column in result.facts.columns] == ["column_0", "column_1", "column_2"]
    assert result.facts.rows == len(ROWS)


def test_a_header_above_words_only_is_taken_with_a_note(read: Read) -> None:
    result = read("colour,y\nred,no\nblue,yes\ngreen,no\nwhite,yes\n", target=1)

    assert result.facts.rows == 4
    assert any("options.header" in note for note in result.facts.notes)


def test_words_that_occur_again_are_no_header(read: Read) -> None:
    result = read("red,no\nblue,yes\nred,no\nblue,yes\n", target=1)

    assert result.facts.rows == 4
    assert any("options.header" in note for note in result.facts.notes)


def test_a_target_that_is_named_in_the_first_line_makes_it_a_header(read: Read) -> None:
    result = read("1,2\n0,5\n1,6\n0,7\n1,8\n", target="1")

    assert result.facts.rows == 4


def test_names_that_are_years_are_told_apart_with_a_note(read: Read) -> None:
    rows = "".join(f"{'ab'[row % 2]},{row},{row + 1},{'pq'[row % 2]}\n" for row in range(8))

    result = read("region,2001,2002,y\n" + rows, target=3)

    assert any("'region', 'y'" in note and "options.header" in note for note in result.facts.notes)


def test_header_can_be_denied(read: Read) -> None:
    result = read("colour,y\nred,no\ncolour,y\nred,no\n", target=1, header=False)

    assert result.facts.rows == 4


def test_names_without_a_row_name_belong_to_the_last_columns(read: Read) -> None:
    result = read("x,y\n1,10,no\n2,20,yes\n3,30,no\n4,40,yes\n", target="y")

    assert result.column("column_0") == [1.0, 2.0, 3.0, 4.0]
    assert result.column("x") == [10.0, 20.0, 30.0, 40.0]
    assert any("the header has 2 names" in note.lower() for note in result.facts.notes)


def test_a_delimiter_at_the_end_of_each_row_is_an_empty_column(read: Read) -> None:
    result = read("x,y\n10,no,\n20,yes,\n30,no,\n40,yes,\n", target="y")

    assert result.column("x") == [10.0, 20.0, 30.0, 40.0]
    assert result.column("column_2") == [None] * 4


def test_empty_names_are_filled_with_a_note(read: Read) -> None:
    result = read(",x,y\n1,10,no\n2,20,yes\n3,30,no\n4,40,yes\n", target="y")

    assert result.column("column_0") == [1.0, 2.0, 3.0, 4.0]
    assert any("column_0" in note for note in result.facts.notes)


@pytest.mark.parametrize(
    "name", ["a b [K]", "tab\t", "__proto__", "Größe", "사고", "it's", 'a""b', "=cmd|x", "select", "line\nbreak", "🙂"]
)
def test_names_are_kept_as_written(name: str, read: Read) -> None:
    result = read(f'"{name}",y\n1,no\n2,yes\n3,no\n4,yes\n', target="y")

    assert result.column(name.replace('""', '"')) == [1.0, 2.0, 3.0, 4.0]


def test_decimal_commas_are_found(read: Read) -> None:
    result = read("x;y\n1,5;a\n2,25;b\n3;a\n-0,125;b\n", target="y")

    assert result.column("x") == [1.5, 2.25, 3.0, -0.125]


def test_decimal_commas_that_could_part_thousands_are_noted(read: Read) -> None:
    result = read("x;y\n1,500;a\n2,250;b\n3,125;a\n4,000;b\n", target="y")

    assert result.column("x") == [1.5, 2.25, 3.125, 4.0]
    assert any("options.decimal" in note for note in result.facts.notes)


def test_decimal_commas_in_quotes_can_be_told(read: Read) -> None:
    assert read('x,y\n"1,5",a\n"2,5",b\n3,a\n4,b\n', target="y", decimal=",").column("x") == [1.5, 2.5, 3.0, 4.0]


def test_a_point_among_decimal_commas_is_no_number(read: Read) -> None:
    assert read("x;y\n1,5;a\n2,5;b\n1.500;a\n4,5;b\n", target="y", decimal=",").column("x") == ["1,5", "2,5", "1.500", "4,5"]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-32-be", codecs.BOM_UTF32_BE),
    ],
)
def test_unicode_encodings_are_found(encoding: str, mark: bytes, read: Read) -> None:
    content = mark + "größe,y\n1,ä\n2,b\n3,ä\n4,b\n".encode(encoding)

    result = read(content, target="y")

    assert result.column("größe") == [1.0, 2.0, 3.0, 4.0]
    assert set(result.classes) == {"ä", "b"}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp437", "shift_jis", "utf-16", "utf-8-sig", "utf-7"])
def test_any_codec_can_be_told(encoding: str, read: Read) -> None:
    word = "ﾊﾛｰ" if encoding == "shift_jis" else "ä"

    assert set(read(f"x,y\n1,{word}\n2,b\n3,{word}\n4,b\n".encode(encoding), target="y", encoding=encoding).classes) == {word, "b"}


def test_bytes_that_are_not_utf_8_are_read_as_western_with_a_note(read: Read) -> None:
    result = read("x,y\n1,é\n2,b\n3,é\n4,b\n".encode("cp1252"), target="y")

    assert set(result.classes) == {"é", "b"}
    assert any("cp1252" in note and "line 2" in note for note in result.facts.notes)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("ended", [True, False])
def test_every_line_end_is_read(line_end: str, ended: bool, read: Read) -> None:
    content = line_end.join(["x,y", "1,no", "2,yes", "3,no", "4,yes"]) + line_end * ended

    assert read(content, target="y").column("y") == ["no", "yes", "no", "yes"]


def test_blank_lines_are_no_rows(read: Read) -> None:
    assert read("\n\nx,y\n\n1,no\n2,yes\n\n3,no\n4,yes\n\n\n", target="y").column("x") == [1.0, 2.0, 3.0, 4.0]


def test_quoted_line_breaks_stay_in_their_cell(read: Read) -> None:
    result = read('x,y\n"a\nb",no\n"c\n\n\nd",yes\ne,no\n"f ""g""",yes\n', target="y")

    assert result.column("x") == ["a\nb", "c\n\n\nd", "e", 'f "g"']


def test_a_quote_within_a_plain_cell_is_text(read: Read) -> None:
    assert read('x,y\n5" pipe,no\n6" pipe,yes\n7,no\n8,yes\n', target="y").column("x") == ['5" pipe', '6" pipe', "7", "8"]


def test_gzip_is_unpacked(read: Read) -> None:
    assert read(gzip.compress(lines(",").encode()), target="y").column("size") == [1.5, 2.25, 3.0, 4.75]


def test_a_target_can_be_a_position_and_is_answered_by_name(read: Read) -> None:
    assert read(lines(","), target=2).facts.target == "y"


@pytest.mark.parametrize("content", ["größe,y\n1,ä\n2,b\n3,ä\n4,b\n", "x,y\n1,no\n2,yes\n3,no\n4,yes"])
def test_plain_utf_8_is_read_where_it_lies(content: str, tmp_path: Path) -> None:
    source = tmp_path / "upload.csv.gz"
    source.write_text(content, encoding="utf-8", newline="")

    text = transcode(source, False, None, tmp_path / "copy")

    assert (text.path, text.bytes) == (source, source.stat().st_size)
    assert not (tmp_path / "copy").exists()


def test_plain_text_is_read_whatever_its_file_is_called(read: Read, tmp_path: Path) -> None:
    source = tmp_path / "upload.csv.gz"
    source.write_text(lines(","))

    assert read(source, target="y").facts.rows == len(ROWS)
