"""How each column is read: what the sample, the file's schema or the user suggests, and the SQL that reads it so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from counterweight.contracts.datasets import CellType, DatasetOptions
from workers.ingest import cells
from workers.ingest.errors import unknown_column
from workers.ingest.numbers import LARGEST_EXACT_INTEGER, is_iso_moment, is_number, is_numeric_word
from workers.ingest.parquet_source import MOMENTS, UNTYPED, WHOLE_NUMBERS
from workers.ingest.sources import Source

ReadingKind = Literal["number", "whole_number", "moment", "truth", "text", "label", "stored"]
_TOLD: dict[CellType, ReadingKind] = {
    "numeric": "number",
    "categorical": "text",
    "text": "text",
    "boolean": "truth",
    "datetime": "moment",
}


@dataclass(frozen=True)
class Reading:
    """One column: the kind of value, what else its cells may be (`cells.KINDS`), and the type that the user told.

    `stored` keeps the type that a Parquet file gives.
    """

    kind: ReadingKind
    accepted: frozenset[str] = frozenset()
    told: CellType | None = None


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
            readings.append(_reading_of_sample(source.sample[position], source.notation))
        else:
            readings.append(Reading("text" if _is_text(source.sql_types[position]) else "stored"))
    return readings


def selected(source: Source, readings: list[Reading], positions: Sequence[int]) -> str:
    """Return cells of the source as SQL: `c0, c1, …` as their reading takes them, and `d0, …` as DOUBLE beside numbers."""
    columns = []
    for position in positions:
        reading = readings[position]
        cell = f"c{position}"
        written = as_written(cell, source.sql_types[position])
        if reading.kind == "stored":
            columns.append(f"{cells.without_missing(written, cell, source.notation)} AS {cell}")
        elif reading.kind == "number":
            columns.append(f"{written} AS {cell}, {cells.as_double(written, source.notation)} AS d{position}")
        elif reading.kind == "text":
            # Blanks are spaces but in odd files, and to trim spaces alone takes an eighth of the time.
            columns.append(f"trim({written}) AS {cell}" if source.format == "csv" else f"{written} AS {cell}")
        else:
            columns.append(f"{cells.bare_where_needed(written)} AS {cell}")
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


def _reading_of_sample(sample: list[str], notation: cells.Notation) -> Reading:
    present = [cell for cell in map(str.strip, sample) if cell and cell not in notation.missing_words]
    if all(is_number(cell, notation.decimal) or is_numeric_word(cell) for cell in present):
        oddly_written = any(cell.startswith((" ", "+")) for cell in sample)
        return Reading("number", frozenset({"number"}) if oddly_written else frozenset())
    return Reading("moment" if all(is_iso_moment(cell) for cell in present) else "text")


def _is_text(sql_type: str) -> bool:
    return sql_type == "VARCHAR" or sql_type.startswith("ENUM")


def is_fractional(sql_type: str) -> bool:
    return sql_type in ("FLOAT", "DOUBLE") or sql_type.startswith("DECIMAL")


def as_written(cell: str, sql_type: str) -> str:
    """Return a Parquet value as a person would write it: whole numbers without a point."""
    if sql_type == "VARCHAR":
        return cell
    if is_fractional(sql_type):
        # DuckDB keeps NaN apart from NULL; in a table both mean that nothing is known.
        if sql_type in ("FLOAT", "DOUBLE"):
            cell = f"CASE WHEN isnan({cell}) THEN NULL ELSE {cell} END"
        return f"CASE WHEN {cell} = trunc({cell}) AND abs({cell}) < 1e15 THEN {cell}::BIGINT::VARCHAR ELSE {cell}::VARCHAR END"
    return f"{cell}::VARCHAR"


def _stored(cell: str, sql_type: str, reading: Reading) -> str:
    if sql_type in WHOLE_NUMBERS:
        fits = f"{cell} IS NULL OR TRY_CAST({cell} AS BIGINT) IS NOT NULL"
        return f"CASE WHEN {fits} THEN TRY_CAST({cell} AS BIGINT) ELSE error('{cells.MISFIT}')::BIGINT END"
    if sql_type.startswith("DECIMAL"):
        exact = f"{cell} IS NULL OR abs({cell}) < {LARGEST_EXACT_INTEGER}"
        return f"CASE WHEN {exact} THEN {cell}::DOUBLE ELSE error('{cells.MISFIT}')::DOUBLE END"
    if sql_type == UNTYPED:
        return f"{cell}::DOUBLE"
    if is_fractional(sql_type):
        double = f"{cell}::DOUBLE"
        nan = f"WHEN isnan({double}) THEN NULL" if "not_a_number" in reading.accepted else ""
        return f"CASE WHEN {cell} IS NULL THEN NULL WHEN isfinite({double}) THEN {double} {nan} ELSE error('{cells.MISFIT}')::DOUBLE END"
    if sql_type in MOMENTS:
        return f"{cell}::TIMESTAMP"
    return cell
