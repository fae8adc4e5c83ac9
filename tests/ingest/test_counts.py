"""Present and distinct cells are counted exactly, and alike in both ways of counting."""

import pytest

from tests.ingest.conftest import Read

ROWS = 500
COLUMNS = {
    "whole": [str(2**60 + row % 7) for row in range(ROWS)],
    "number": ["NA" if row % 3 == 0 else str(row % 50 / 4) for row in range(ROWS)],
    "zeros": [("0", "-0", "0.0")[row % 3] for row in range(ROWS)],
    "empty": ["" for _ in range(ROWS)],
    "moment": [f"2026-01-{row % 28 + 1:02} 10:00" for row in range(ROWS)],
    "truth": [("yes", "no", "?")[row % 3] for row in range(ROWS)],
    "word": [f"word {row % 9}" for row in range(ROWS)],
    "y": ["ab"[row % 2] for row in range(ROWS)],
}
EXPECTED = {"whole": (0, 7), "number": (167, 50), "zeros": (0, 1), "empty": (ROWS, 0), "moment": (0, 28), "truth": (166, 2), "word": (0, 9)}


@pytest.mark.parametrize("rows_to_sort", [0, 10**9], ids=["by the database", "by sorting"])
@pytest.mark.parametrize("at_once", [1, 10**9])
def test_missing_and_distinct_cells_of_every_type_are_exact(
    rows_to_sort: int, at_once: int, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ingest.counts._ROWS_TO_SORT", rows_to_sort)
    monkeypatch.setattr("workers.ingest.counts._CELLS_TO_SORT_AT_ONCE", at_once)
    lines = [",".join(COLUMNS), *(",".join(cells) for cells in zip(*COLUMNS.values(), strict=True))]

    facts = read("\n".join(lines), target="y", columns={"truth": {"type": "boolean"}}).facts

    assert {column.name: (column.missing, column.distinct) for column in facts.columns if column.name != "y"} == EXPECTED
