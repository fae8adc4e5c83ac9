"""Records counted at once are counted as the csv module counts them one by one, or not at all."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.conftest import Read, Refuse
from workers.ingest.tally import BLOCK_BYTES, Tally, tally

LINE_FEED = b"\n"
WHOLE = b'a,b\n1,"x, y"\n\n2,"two\nlines"\n3,"say ""no"""\n'


def test_quoted_delimiters_line_ends_and_quotes_are_within_their_cell() -> None:
    assert tally(WHOLE, ",", 2) == Tally(len(WHOLE), lines=6, rows=4)


@pytest.mark.parametrize("rest", [b"4,5", b'4,"open\n5,6\n', b'4,"'])
def test_a_record_that_goes_on_beyond_the_block_is_left(rest: bytes) -> None:
    assert tally(WHOLE + rest, ",", 2) == tally(WHOLE, ",", 2)


@pytest.mark.parametrize("block", [b"1,2,3\n", b"1\n", b'5" pipe,2\n', b'"a"b,2\n', b'1,2"\n"3,4\n', b"1,2\r\n", b"1,2", b'1,"2\n3,4\n'])
def test_a_block_in_doubt_is_left_to_the_slow_reader(block: bytes) -> None:
    assert tally(block, ",", 2) is None


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(st.sampled_from('a,"\n'), max_size=40))
def test_what_is_counted_at_once_is_what_the_csv_module_reads(text: str) -> None:
    for width in (1, 2, 3):
        counted = tally(text.encode(), ",", width)
        if counted is None:
            continue
        head = text[: counted.bytes]
        records = [record for record in csv.reader(io.StringIO(head, newline=""), strict=True) if record]
        assert [len(record) for record in records] == [width] * counted.rows
        assert (head.count("\n"), head[-1]) == (counted.lines, "\n")


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1000])
def test_the_size_of_a_block_changes_nothing(block_bytes: int, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(f'cell {row}, "{row}"\n' * (row % 3), "ab"[row % 2]) for row in range(200)]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("x", "y"), *rows])
    monkeypatch.setattr("workers.ingest.structure.BLOCK_BYTES", block_bytes)

    result = read(out.getvalue(), target="y", columns={"x": {"type": "text"}})

    assert result.column("x") == [cell.strip(" ") or None for cell, _ in rows]


@pytest.mark.parametrize("doubtful", [b"", b'5" pipe,no\n', b'"two\nlines",no\n'])
def test_a_broken_row_some_blocks_on_is_refused_by_its_line(doubtful: bytes, refuse: Refuse) -> None:
    whole = b"some words that fill the line,yes\n" * (2 * BLOCK_BYTES // 34)
    before = b"x,y\n" + whole + doubtful + whole

    refusal = refuse(before + b"one field\n", target="y")

    assert refusal.code == "too_few_fields"
    assert f"Line {before.count(LINE_FEED) + 1} " in refusal.detail
