"""Any table that the csv module writes, in any dialect and encoding, comes back cell by cell."""

import csv
import io
import math
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterweight.contracts.messages import Ingested, IngestRefused
from tests.ingest.conftest import Result, run

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
CELLS = WORDS | st.sampled_from(
    ['a"b', '""', "a,b", "x;y", "tab\tbed", "two\nlines", "\n", " lead", "trail ", "'q'", "#", "\\", "007", "0", "-"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1).map(float)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"])
quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


def written(rows: list[list[str]], delimiter: str, line_end: str, quoting: int) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=line_end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return out.getvalue()


def as_read(cell: str) -> str | None:
    bare = cell.replace("\r\n", "\n").strip(" ")
    return None if bare in ("", "NA", "N/A", "?", "null", "NaN") else bare


@quick
@given(
    words=st.lists(CELLS, min_size=4, max_size=30),
    numbers=st.data(),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=ENCODINGS,
)
def test_a_written_table_comes_back(
    words: list[str], numbers: st.DataObject, delimiter: str, line_end: str, quoting: int, encoding: str
) -> None:
    values = numbers.draw(st.lists(NUMBERS, min_size=len(words), max_size=len(words)))
    labels = ["yes" if at % 2 else "no" for at in range(len(words))]
    rows = [["first", "second", "y"], *([repr(value), word, label] for value, word, label in zip(values, words, labels, strict=True))]
    content = written(rows, delimiter, line_end, quoting).encode(encoding)

    with tempfile.TemporaryDirectory() as folder:
        told = {"encoding": encoding} if encoding == "gb18030" else {}
        answer, job = run(Path(folder), content, target="y", delimiter=delimiter, columns={"second": {"type": "text"}}, **told)
        assert isinstance(answer, Ingested), answer
        result = Result(answer, job)

        assert result.column("first") == values
        assert result.column("second") == [as_read(word) for word in words]
        assert result.column("y") == labels


@quick
@given(content=st.binary(max_size=400) | st.text(st.sampled_from('a1,;\t"\n\r .-é\0'), max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answer, job = run(Path(folder), content)

        assert isinstance(answer, Ingested | IngestRefused)
        assert [path.name for path in job.iterdir()] == ([answer.table] if isinstance(answer, Ingested) else [])


@quick
@given(st.lists(st.text(st.sampled_from("0123456789+-.eE_ xinfa"), max_size=8), min_size=1, max_size=40))
def test_a_column_is_numeric_exactly_when_every_cell_is(cells: list[str]) -> None:
    # Plain numbers come first, so that the sniffer and the database must agree on the rest.
    content = "x,y\n" + "1,a\n" * 1200 + "".join(f"{cell},b\n" for cell in cells)

    with tempfile.TemporaryDirectory() as folder:
        answer, job = run(Path(folder), content, header=True, delimiter=",")
        if isinstance(answer, IngestRefused):
            assert answer.code == "not_finite"
            return
        values = Result(answer, job).column("x")[1200:]

    for cell, value in zip(cells, values, strict=True):
        if isinstance(value, float):
            assert math.isfinite(value)
            assert value == float(cell)
        elif value is None:
            assert cell.strip().lower().lstrip("+-") in ("", "nan")
        else:
            assert value in (cell.strip(" "), int(cell) if isinstance(value, int) else cell.strip(" "))
