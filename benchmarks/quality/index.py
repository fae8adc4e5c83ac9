"""The folder of public tables: what its INDEX.json says of each."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CSV = ("delimiter", "decimal", "header", "encoding")


@dataclass(frozen=True)
class Entry:
    """One table: where it lies, how it is to be read, and what is to be found in it."""

    name: str
    kind: str
    file: Path
    rows: int
    class_counts: dict[str, int]
    exclude: list[str]
    options: dict[str, Any]


def entries(folder: Path, only: str) -> list[Entry]:
    """Return the tables of a folder, or those named; ValueError for a name that is none."""
    listed = json.loads((folder / "INDEX.json").read_text())["datasets"]
    found = [_entry(folder, each) for each in listed if each["kind"] != "image"]
    wanted = {name for name in only.split(",") if name}
    if unknown := wanted - {entry.name for entry in found}:
        raise ValueError(f"there is no table {', '.join(sorted(unknown))}; choose from {', '.join(entry.name for entry in found)}")
    return [entry for entry in found if not wanted or entry.name in wanted]


def _entry(folder: Path, listed: dict[str, Any]) -> Entry:
    file = folder / (listed["derived_file"] or listed["file"])
    options: dict[str, Any] = {"target": listed["target"]}
    if listed["positive_class"] is not None:
        options["positive_label"] = listed["positive_class"]
    if file.suffix != ".parquet":
        options |= {name: listed[name] for name in _CSV}
    return Entry(listed["name"], listed["kind"], file, listed["rows"], listed["class_counts"], listed["id_or_leaky_columns"], options)
