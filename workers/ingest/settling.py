"""What to do when a cell does not fit its column: look at every cell, then read the column otherwise or refuse the cell."""

from dataclasses import dataclass, replace

import duckdb

from counterweight.contracts.datasets import CellType
from workers.ingest import cells
from workers.ingest.errors import Unreadable, shown
from workers.ingest.numbers import LARGEST_EXACT_INTEGER
from workers.ingest.parquet_source import WHOLE_NUMBERS
from workers.ingest.readings import Reading, as_written, is_fractional, selected, value_of
from workers.ingest.sources import Source

_COLUMNS_AT_ONCE = 50

_SPOKEN: dict[CellType, str] = {
    "numeric": "a number",
    "boolean": "true or false",
    "datetime": "an ISO date such as 2026-01-31 or 2026-01-31T12:00:00",
}


def settled(database: duckdb.DuckDBPyConnection, source: Source, readings: list[Reading]) -> tuple[list[Reading], list[str]]:
    """Return readings that fit every cell, with notes on what is not as it seemed; Unreadable for a cell that fits none."""
    notes: list[str] = []
    result = list(readings)
    doubtful = _doubtful(database, source, readings)
    for start in range(0, len(doubtful), _COLUMNS_AT_ONCE):
        batch = doubtful[start : start + _COLUMNS_AT_ONCE]
        for position, found in zip(batch, _found(database, source, readings, batch), strict=True):
            result[position] = _settle(database, source, position, readings[position], found, notes)
    return result, notes


def _doubtful(database: duckdb.DuckDBPyConnection, source: Source, readings: list[Reading]) -> list[int]:
    """Return the columns with a cell that does not fit: mostly few, so that only these need be looked at closely."""
    positions = [position for position, reading in enumerate(readings) if reading.kind not in ("text", "label")]
    doubts = ", ".join(f"bool_or({_is_doubtful(source, position, readings[position])})" for position in positions)
    row = database.execute(f"SELECT {doubts} FROM {selected(source, readings, positions)}").fetchall()[0]
    return [position for position, doubtful in zip(positions, row, strict=True) if doubtful]


def _is_doubtful(source: Source, position: int, reading: Reading) -> str:
    if reading.kind == "number":
        return cells.is_doubtful_number(f"c{position}", f"d{position}", source.notation)
    return f"{_kind_of(source, position, reading)} NOT IN ('number', 'missing')"


def _kind_of(source: Source, position: int, reading: Reading) -> str:
    cell, sql_type = f"c{position}", source.sql_types[position]
    if reading.kind == "number":
        return cells.kind_of_number(cell, f"d{position}", source.notation)
    if reading.kind in ("moment", "truth"):
        value = cells.or_null(value_of(source, position, reading))
        return f"CASE WHEN {cells.is_missing(cell, source.notation)} THEN 'missing' WHEN ({value}) IS NULL THEN 'other' ELSE 'number' END"
    if sql_type in WHOLE_NUMBERS:
        return f"CASE WHEN {cell} IS NULL THEN 'missing' WHEN TRY_CAST({cell} AS BIGINT) IS NULL THEN 'large' ELSE 'number' END"
    if sql_type.startswith("DECIMAL"):
        return f"CASE WHEN {cell} IS NULL THEN 'missing' WHEN abs({cell}) >= {LARGEST_EXACT_INTEGER} THEN 'large' ELSE 'number' END"
    if is_fractional(sql_type):
        double = f"{cell}::DOUBLE"
        return (
            f"CASE WHEN {cell} IS NULL THEN 'missing' WHEN isnan({double}) THEN 'not_a_number' "
            f"WHEN isinf({double}) THEN 'not_finite' ELSE 'number' END"
        )
    return "'number'"


@dataclass(frozen=True)
class _Found:
    count: int
    first: int


def _found(database: duckdb.DuckDBPyConnection, source: Source, readings: list[Reading], batch: list[int]) -> list[dict[str, _Found]]:
    kinds = ", ".join(f"{_kind_of(source, position, readings[position])} AS k{position}" for position in batch)
    counts = ", ".join(
        f"count(*) FILTER (k{position} = '{kind}'), min(r) FILTER (k{position} = '{kind}')" for position in batch for kind in cells.KINDS
    )
    numbered = f"(SELECT row_number() OVER () - 1 AS r, * FROM {selected(source, readings, batch)})"
    row = database.execute(f"SELECT {counts} FROM (SELECT r, {kinds} FROM {numbered})").fetchall()[0]
    found = []
    for start in range(0, len(row), 2 * len(cells.KINDS)):
        pairs = row[start : start + 2 * len(cells.KINDS)]
        found.append({kind: _Found(pairs[2 * at], pairs[2 * at + 1]) for at, kind in enumerate(cells.KINDS) if pairs[2 * at]})
    return found


def _settle(
    database: duckdb.DuckDBPyConnection, source: Source, position: int, reading: Reading, found: dict[str, _Found], notes: list[str]
) -> Reading:
    name = source.names[position]

    def value(kind: str) -> str:
        return shown(database.execute(f"SELECT c{position} FROM {source.relation} LIMIT 1 OFFSET {found[kind].first}").fetchall()[0][0])

    if "other" in found or ("padded" in found and "padded" not in reading.accepted):
        if reading.told is None:
            return Reading("text")
        raise Unreadable(
            "bad_cell",
            f"{source.place(found['other'].first).capitalize()}, column {shown(name)}: {value('other')} is not {_SPOKEN[reading.told]}, "
            "as options.columns says; correct the cell, list it in options.null_values, or leave the type out.",
        )
    if "not_finite" in found:
        raise Unreadable(
            "not_finite",
            f"{source.place(found['not_finite'].first).capitalize()}, column {shown(name)}: {value('not_finite')} is not a finite number; "
            "correct it, or list it in options.null_values to read it as missing.",
        )
    if "not_a_number" in found:
        notes.append(f"Column {shown(name)}: {found['not_a_number'].count} cells say {value('not_a_number')} and were read as missing.")
        reading = replace(reading, accepted=reading.accepted | {"not_a_number"})
    if reading.kind == "number":
        reading = replace(reading, accepted=reading.accepted | {"number"})
    if "large" in found:
        return _without_rounding(database, source, position, reading, value("large"), notes)
    return reading


def _without_rounding(
    database: duckdb.DuckDBPyConnection, source: Source, position: int, reading: Reading, example: str, notes: list[str]
) -> Reading:
    name = shown(source.names[position])
    if reading.kind == "number" and _are_whole(database, source, position):
        return replace(reading, kind="whole_number", accepted=frozenset())
    if reading.told == "numeric":
        notes.append(
            f"Column {name} holds integers too large to keep exactly, such as {example}; "
            "they were rounded to 53 bits because its type was set."
        )
        return replace(reading, accepted=reading.accepted | {"large"})
    notes.append(f"Column {name} holds integers too large to keep exactly as numbers, such as {example}, and was read as text.")
    return Reading("text")


def _are_whole(database: duckdb.DuckDBPyConnection, source: Source, position: int) -> bool:
    """Say whether every cell is missing or an integer of 64 bits."""
    cell = cells.bare(as_written(f"c{position}", source.sql_types[position]))
    value = cells.or_null(cells.whole_number("cell", source.notation))
    (misfits,) = database.execute(
        f"SELECT count(*) FROM (SELECT {cell} AS cell FROM {source.relation}) "
        f"WHERE ({value}) IS NULL AND NOT {cells.is_missing('cell', source.notation)}"
    ).fetchall()[0]
    return bool(misfits == 0)
