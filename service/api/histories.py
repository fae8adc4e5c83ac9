"""Metric histories: how they are asked for; whole ones as CSV and as an Arrow stream, read and sent in pages, never held."""

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from fastapi import Query

from service.api.problems import wrong_field
from service.persistence import metrics
from service.persistence.database import Database
from service.persistence.metrics import PointRow, Wanted

CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"
COLUMNS = ("series", "step", "epoch", "time", "value")
PAGE_POINTS = 10_000

Names = Annotated[str | None, Query(max_length=2000, description="Names, comma-separated; all when left out.")]
Points = Annotated[int, Query(ge=2, le=10_000, description="The most points to answer of each metric.")]


def listed(names: str | None) -> list[str] | None:
    """Return the names of metrics in a parameter; None for all."""
    if names is not None and "\0" in names:
        raise wrong_field("/names", "invalid", "no metric's name holds the character NUL")
    return None if names is None else names.split(",")


def pages(database: Database, job_id: str, wanted: Wanted) -> Iterator[Sequence[PointRow]]:
    """Yield all points by series and step. Each page is read by itself: a slow reader keeps no connection to the database."""
    after: PointRow | None = None
    while True:
        with database.read() as session:
            page = metrics.page(session, job_id, wanted, after, PAGE_POINTS)
        if page:
            yield page
        if len(page) < PAGE_POINTS:
            return
        after = page[-1]


def as_csv(found: Iterator[Sequence[PointRow]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for page in found:
        writer.writerows((harmless(series), *numbers) for series, *numbers in page)
        yield _drained(text)
    yield _drained(text)


def harmless(cell: str) -> str:
    """Return a text that no spreadsheet takes for a formula: a series may be named after a class, and so by whoever made the file."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def as_arrow(found: Iterator[Sequence[PointRow]]) -> Iterator[bytes]:
    # Imported with the first request for it: every start would wait for it, and hardly one needs it.
    import nanoarrow as na  # noqa: PLC0415
    from nanoarrow.ipc import StreamWriter  # noqa: PLC0415

    kinds = dict(zip(COLUMNS, (na.string(), na.int64(), na.int32(), na.float64(), na.float64()), strict=True))
    sink = io.BytesIO()
    with StreamWriter.from_writable(sink) as writer:
        # The first batch is empty: the schema is told even where there is no point.
        for page in itertools.chain([[]], found):
            cells = zip(*page, strict=True) if page else [()] * len(COLUMNS)
            columns = [na.c_array(list(column), kind) for column, kind in zip(cells, kinds.values(), strict=True)]
            writer.write_array(na.c_array_from_buffers(na.struct(kinds), len(page), [None], children=columns))
            yield _drained(sink)
    yield _drained(sink)


def _drained(buffer: Any) -> Any:
    """Return what was written since the last time, and forget it."""
    content = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return content
