"""Which bytes a `Range` asks for: one range, or the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import RangeNotSatisfiable
from service.domain.ranges import asked_span


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=0-", range(10)),
        ("bytes=3-5", range(3, 6)),
        ("bytes=3-999", range(3, 10)),
        ("bytes=9-", range(9, 10)),
        ("bytes=-1", range(9, 10)),
        ("bytes=-99", range(10)),
        ("BYTES= 3-5 ", range(3, 6)),
    ],
)
def test_one_range_is_the_part_of_it_that_lies_in_the_file(header: str, span: range) -> None:
    assert asked_span(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_beyond_the_file_cannot_be_met(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable, match="10 bytes"):
        asked_span(header, 10)


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "bytes=١-٢", "rows=1-2", "bytes=1-2,4-5", "bytes=--1"),
        f"bytes={'9' * 5000}-",
        "bytes=" + ",".join(["0-"] * 10_000),
    ],
)
def test_what_is_no_single_range_means_the_whole(header: str | None) -> None:
    assert asked_span(header, 10) is None


@given(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 60)), st.one_of(st.none(), st.integers(0, 60)))
def test_a_span_lies_in_the_file_whatever_is_asked(size: int, first: int | None, last: int | None) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    try:
        span = asked_span(header, size)
    except RangeNotSatisfiable:
        return

    assert span is None or (0 <= span.start < span.stop <= size)
