"""New names for labels, where the user gave some."""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from workers.ingest.engine import named, quoted
from workers.ingest.errors import Unreadable, listed, shown

FORMAT = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"


def rename_labels(database: duckdb.DuckDBPyConnection, table: Path, target: str, names: Mapping[str, str]) -> str:
    """Write the table again with the target's labels renamed; return the note that tells it. Unreadable for a label that no row has.

    Two labels may get one name: they are one class then.
    """
    relation = f"read_parquet({quoted(str(table))})"
    found = {
        str(label): int(rows) for label, rows in database.execute(f"SELECT {named(target)}, count(*) FROM {relation} GROUP BY 1").fetchall()
    }
    for label in names:
        if label not in found:
            raise Unreadable(
                "unknown_label", f"options.rename_labels names {shown(label)}, which no row has; the labels are {listed(list(found))}."
            )
    cases = " ".join(f"WHEN {quoted(old)} THEN {quoted(new)}" for old, new in names.items())
    renamed = f"CASE CAST({named(target)} AS VARCHAR) {cases} ELSE CAST({named(target)} AS VARCHAR) END AS {named(target)}"
    written = table.with_suffix(".renamed")
    database.execute(f"COPY (SELECT * REPLACE ({renamed}) FROM {relation}) TO {quoted(str(written))} ({FORMAT})")
    written.replace(table)
    changes = ", ".join(f"{shown(old)} to {shown(new)} ({found[old]} rows)" for old, new in names.items())
    return f"Labels were renamed as asked: {changes}."
