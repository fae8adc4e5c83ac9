"""Numbers that only tell rows apart, such as a customer's: what a network learns from them holds for no new row."""

from pathlib import Path

import duckdb

from counterweight.contracts.datasets import Column, DatasetOptions, names_rows
from workers.ingest.engine import named, quoted
from workers.ingest.errors import shown


def numbering_notes(
    database: duckdb.DuckDBPyConnection, table: Path, columns: list[Column], options: DatasetOptions, target: str | None, rows: int
) -> list[str]:
    """Tell of columns of whole numbers of which no two are equal; measurements hardly ever are so."""
    known = {*options.exclude, options.group_column, options.time_column, options.weight_column, target}
    suspects = [it.name for it in columns if it.type == "numeric" and it.distinct == rows and it.name not in known]
    if target is None or not suspects or not names_rows(rows, rows):
        return []
    whole = ", ".join(f"bool_and({name} = trunc({name}))" for name in map(named, suspects))
    are_whole = database.execute(f"SELECT {whole} FROM read_parquet({quoted(str(table))})").fetchall()[0]
    return [
        f"Column {shown(name)} holds another whole number in every row. If it only tells rows apart, list it in options.exclude: no rule "
        "learnt from it holds for a new row, and rows that are equal but for it are not known as copies."
        for name, is_whole in zip(suspects, are_whole, strict=True)
        if is_whole
    ]
