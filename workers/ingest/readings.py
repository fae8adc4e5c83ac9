"""How each column is read: first what the sample or the file's schema suggests, then what every cell allows."""

from dataclasses import dataclass, replace
from typing import Literal

import duckdb

from counterweight.contracts.datasets import ColumnType, DatasetOptions
from workers.ingest import cells
from workers.ingest.errors import Unreadable, shown, unknown_column
from workers.ingest.numbers import is_iso_moment, is_number, is_numeric_word
from workers.ingest.parquet_source import MOMENTS, WHOLE_NUMBERS
from workers.ingest.sources import Source

ReadingKind = Literal["number", "whole_number", "moment", "truth", "text", "label", "stored"]
_TOLD: dict[ColumnType, ReadingKind] = {
    "numeric": "number",
    "categorical": "text",
    "text": "text",
    "boolean": "truth",
    "datetime": "moment",
}
_COLUMNS_AT_ONCE = 200


@dataclass(frozen=True)
class Reading:
    """One column: the kind of value, what else its cells may be (`cells.KINDS`), and the type that the user told.

    `stored` keeps the type that a Parquet file gives.
    """

    kind: ReadingKind
    accepted: frozenset[str] = frozenset()
    told: ColumnType | None = None


def first_readings(source: Source, options: DatasetOptions, target: int | None) -> list[Reading]:
    """Return how each column is read if the cells not yet seen are like those of the sample."""
    for name in options.columns:
        if name not in source.names:
            raise unknown_column(name, source.names, "options.columns")
    readings = []
    for position, name in enumerate(source.names):
        told = options.columns.get(name)
        if position == target:
            readings.append(Reading("label"))
        elif told is not None:
            readings.append(Reading(_TOLD[told.type], frozenset({"padded"}) if told.type == "numeric" else frozenset(), told.type))
        elif source.format == "csv":
            readings.append(Reading(_kind_of_sample(source.sample[position], source.notation)))
        else:
            readings.append(Reading("text" if _is_text(source.sql_types[position]) else "stored"))
    return readings


def settled(database: duckdb.DuckDBPyConnection, source: Source, readings: list[Reading]) -> tuple[list[Reading], list[str]]:
    """Look at every cell after one did not fit; return readings that fit all, with notes, or refuse the cell."""
    notes: list[str] = []
    result = list(readings)
    doubtful = [position for position, reading in enumerate(readings) if reading.kind not in ("text", "label")]
    for start in range(0, len(doubtful), _COLUMNS_AT_ONCE):
        batch = doubtful[start : start + _COLUMNS_AT_ONCE]
        for position, found in zip(batch, _found(database, source, readings, batch), strict=True):
            result[position] = _settle(database, source, position, readings[position], found, notes)
    return result, notes


def selected(source: Source, readings: list[Reading]) -> str:
    """Return the cells of the source as SQL: `c0, c1, …` as their reading takes them, and `d0, …` as DOUBLE beside numbers."""
    columns = []
    for position, reading in enumerate(readings):
        cell = f"c{position}"
        written = _written(cell, source.sql_types[position])
        if reading.kind == "stored":
            columns.append(cell)
        elif reading.kind == "number":
            columns.append(f"{written} AS {cell}, {cells.as_double(written, source.notation)} AS d{position}")
        elif reading.kind == "text":
            # Blanks are spaces but in odd files, and to trim spaces alone takes an eighth of the time.
            columns.append(f"trim({written}) AS {cell}" if source.format == "csv" else f"{written} AS {cell}")
        else:
            columns.append(f"{cells.bare(written)} AS {cell}")
    return f"(SELECT {', '.join(columns)} FROM {source.relation})"


def value_of(source: Source, position: int, reading: Reading) -> str:
    """Return the SQL value of one column over `selected`."""
    cell = f"c{position}"
    if reading.kind == "number":
        return cells.number(cell, f"d{position}", source.notation, reading.accepted)
    if reading.kind == "stored":
        return _stored(cell, source.sql_types[position], reading)
    simple = {"whole_number": cells.whole_number, "moment": cells.moment, "truth": cells.truth, "text": cells.text, "label": cells.label}
    return simple[reading.kind](cell, source.notation)


def _kind_of_sample(sample: list[str], notation: cells.Notation) -> ReadingKind:
    present = [cell for cell in sample if cell and cell not in notation.missing_words]
    if all(is_number(cell, notation.decimal) or is_numeric_word(cell) for cell in present):
        return "number"
    return "moment" if all(is_iso_moment(cell) for cell in present) else "text"


def _is_text(sql_type: str) -> bool:
    return sql_type == "VARCHAR" or sql_type.startswith("ENUM")


def _is_fractional(sql_type: str) -> bool:
    return sql_type in ("FLOAT", "DOUBLE") or sql_type.startswith("DECIMAL")


def _written(cell: str, sql_type: str) -> str:
    """Return a Parquet value as a person would write it: whole numbers without a point."""
    if sql_type == "VARCHAR":
        return cell
    if _is_fractional(sql_type):
        return f"CASE WHEN {cell} = trunc({cell}) AND abs({cell}) < 1e15 THEN {cell}::BIGINT::VARCHAR ELSE {cell}::VARCHAR END"
    return f"{cell}::VARCHAR"


def _stored(cell: str, sql_type: str, reading: Reading) -> str:
    if sql_type in WHOLE_NUMBERS:
        fits = f"{cell} IS NULL OR TRY_CAST({cell} AS BIGINT) IS NOT NULL"
        return f"CASE WHEN {fits} THEN TRY_CAST({cell} AS BIGINT) ELSE error('{cells.MISFIT}')::BIGINT END"
    if _is_fractional(sql_type):
        double = f"{cell}::DOUBLE"
        nan = f"WHEN isnan({double}) THEN NULL" if "not_a_number" in reading.accepted else ""
        return f"CASE WHEN {cell} IS NULL THEN NULL WHEN isfinite({double}) THEN {double} {nan} ELSE error('{cells.MISFIT}')::DOUBLE END"
    if sql_type in MOMENTS:
        return f"{cell}::TIMESTAMP"
    return cell


def _kind_of(source: Source, position: int, reading: Reading) -> str:
    cell, sql_type = f"c{position}", source.sql_types[position]
    if reading.kind == "number":
        return cells.kind_of_number(cell, f"d{position}", source.notation)
    if reading.kind in ("moment", "truth"):
        value = value_of(source, position, reading).replace(f"error('{cells.MISFIT}')", "NULL")
        return f"CASE WHEN {cells.is_missing(cell, source.notation)} THEN 'missing' WHEN ({value}) IS NULL THEN 'other' ELSE 'number' END"
    if sql_type in WHOLE_NUMBERS:
        return f"CASE WHEN {cell} IS NULL THEN 'missing' WHEN TRY_CAST({cell} AS BIGINT) IS NULL THEN 'large' ELSE 'number' END"
    if _is_fractional(sql_type):
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
    numbered = f"(SELECT row_number() OVER () - 1 AS r, * FROM {selected(source, readings)})"
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
    if "large" in found:
        return _without_rounding(database, source, position, reading, value("large"), notes)
    return reading


_SPOKEN: dict[ColumnType, str] = {
    "numeric": "a number",
    "boolean": "true or false",
    "datetime": "an ISO date such as 2026-01-31 or 2026-01-31T12:00:00",
}


def _without_rounding(
    database: duckdb.DuckDBPyConnection, source: Source, position: int, reading: Reading, example: str, notes: list[str]
) -> Reading:
    name = shown(source.names[position])
    if reading.kind == "number" and _are_whole(database, source, position):
        return replace(reading, kind="whole_number", accepted=frozenset())
    if reading.told == "numeric":
        notes.append(
            f"Column {name} holds integers too large to keep exactly, such as {example}; they were rounded to 53 bits because its type was set."
        )
        return replace(reading, accepted=reading.accepted | {"large"})
    notes.append(f"Column {name} holds integers too large to keep exactly as numbers, such as {example}, and was read as text.")
    return Reading("text")


def _are_whole(database: duckdb.DuckDBPyConnection, source: Source, position: int) -> bool:
    """Say whether every cell is missing or an integer of 64 bits."""
    cell = cells.bare(_written(f"c{position}", source.sql_types[position]))
    value = cells.whole_number("cell", source.notation).replace(f"error('{cells.MISFIT}')", "NULL")
    (misfits,) = database.execute(
        f"SELECT count(*) FROM (SELECT {cell} AS cell FROM {source.relation}) "
        f"WHERE ({value}) IS NULL AND NOT {cells.is_missing('cell', source.notation)}"
    ).fetchall()[0]
    return bool(misfits == 0)
