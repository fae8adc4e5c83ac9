"""What a written table holds: missing and distinct cells, types, and the classes within each part."""

from pathlib import Path

import duckdb

from counterweight.contracts.datasets import Column, ColumnType
from counterweight.contracts.images import IMAGE_COLUMN
from counterweight.contracts.splits import PARTS, Part
from workers.ingest import cells
from workers.ingest.counts import Counts, counted
from workers.ingest.engine import named, quoted
from workers.ingest.errors import shown
from workers.ingest.readings import Reading
from workers.ingest.sources import Source

TEXT_IS_LONGER_THAN = 16
CATEGORIES_ARE_AT_MOST = 1000


def column_facts(
    database: duckdb.DuckDBPyConnection, table: Path, source: Source, readings: list[Reading]
) -> tuple[list[Column], list[str]]:
    """Return each column as it was written, and notes on columns that are text though most of their cells are numbers."""
    columns, notes = [], []
    for position, (reading, counts) in enumerate(zip(readings, counted(database, table, source), strict=True)):
        name = source.names[position]
        is_image = source.image_size is not None and name == IMAGE_COLUMN
        column_type = "image" if is_image else _type_of(reading, counts)
        columns.append(Column(name=name, type=column_type, missing=source.rows - counts.present, distinct=counts.distinct))
        is_guess = reading.kind == "text" and reading.told is None and source.format == "csv"
        if is_guess and counts.numbers * 2 >= counts.present > 0:
            notes += _why_text(database, table, source, position, counts)
    return columns, notes


def part_classes(
    database: duckdb.DuckDBPyConnection, table: Path, columns: list[Column], target: str | None
) -> dict[str, dict[Part, dict[str, int]]]:
    """Return the rows of each class in each part, for every column that names parts and nothing else."""
    result: dict[str, dict[Part, dict[str, int]]] = {}
    if target is None:
        return result
    for column in columns:
        if column.name == target or column.missing or column.distinct > len(PARTS) or column.type not in ("categorical", "text"):
            continue
        counted = database.execute(
            f"SELECT {named(column.name)}, {named(target)}, count(*) FROM read_parquet({quoted(str(table))}) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        if not all(part in PARTS for part, _, _ in counted):
            continue
        result[column.name] = {part: {label: rows for found, label, rows in counted if found == part} for part in PARTS}
    return result


def _type_of(reading: Reading, counts: Counts) -> ColumnType:
    """Call text `text` rather than `categorical` when cells hardly repeat, and are long or many: names, remarks, ids."""
    if reading.kind == "label":
        return "categorical"
    if reading.told is not None:
        return reading.told
    if counts.sql_type != "VARCHAR":
        return {"BOOLEAN": "boolean", "TIMESTAMP": "datetime"}.get(counts.sql_type, "numeric")  # type: ignore[return-value]
    hardly_repeats = counts.distinct * 2 > counts.present
    long_or_many = counts.characters > TEXT_IS_LONGER_THAN * counts.present or counts.distinct > CATEGORIES_ARE_AT_MOST
    return "text" if hardly_repeats and long_or_many else "categorical"


def _why_text(database: duckdb.DuckDBPyConnection, table: Path, source: Source, position: int, counts: Counts) -> list[str]:
    name = named(source.names[position])
    double = cells.as_double(name, source.notation)
    kind = cells.kind_of_number(name, double, source.notation)
    relation = f"(SELECT file_row_number AS r, {name}, {kind} AS kind FROM read_parquet({quoted(str(table))}, file_row_number = true))"
    found = {
        row[0]: row[1:]
        for row in database.execute(f"SELECT kind, count(*), min(r), arg_min({name}, r) FROM {relation} GROUP BY kind").fetchall()
    }
    column = shown(source.names[position])
    if "other" not in found and "padded" in found:
        _, first, value = found["padded"]
        return [
            f"Column {column} holds codes that begin with a zero, first {shown(value)} on {source.place(first)}, and was read as text; "
            "set its type to numeric in options.columns to drop the zeros."
        ]
    if "other" not in found:
        return []
    count, first, value = found["other"]
    are_none = "is no number" if count == 1 else "are no numbers"
    return [
        f"Column {column} was read as text because {count} of its {counts.present} cells {are_none}, first {shown(value)} on "
        f"{source.place(first)}; if that means missing, list it in options.null_values."
    ]
