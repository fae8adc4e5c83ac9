"""Which class each image of an archive has: by the folder it lies in, or by `labels.csv`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import duckdb

from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.images import IMAGE_COLUMN
from counterweight.contracts.splits import Part
from workers.ingest import cells
from workers.ingest.csv_source import open_csv
from workers.ingest.errors import Unreadable, listed, shown
from workers.ingest.image_survey import LABELS_FILE
from workers.ingest.members import Member

FILE, LABEL, PART = "file", "label", "part"
_PART_FOLDERS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Labelled:
    """Columns of text beside the images, in their order; None where a cell is missing."""

    columns: dict[str, Sequence[str | None]]
    notes: list[str] = field(default_factory=list)


def by_folder(names: Sequence[str]) -> Labelled:
    """Label each image by the folder right above it; the folder above that may name its part."""
    steps = [PurePosixPath(name).parts for name in names]
    for name, path in zip(names, steps, strict=True):
        if len(path) < 2:
            raise Unreadable(
                "no_class",
                f"{shown(name)} lies in no folder, so its class is not known; put the images of each class in a folder of its name, or add "
                f"a {LABELS_FILE} with the columns {FILE} and {LABEL}.",
            )
    labels = [path[-2] for path in steps]
    if all(label.lower() in _PART_FOLDERS for label in labels):
        raise Unreadable(
            "no_class",
            f"The folders that hold images ({listed(dict.fromkeys(labels))}) name parts and no classes; put a folder for each class into "
            f"them, or add a {LABELS_FILE}.",
        )
    parts = [_PART_FOLDERS.get(path[-3].lower()) if len(path) > 2 else None for path in steps]
    columns: dict[str, Sequence[str | None]] = {FILE: names, LABEL: labels}
    if all(part is not None for part in parts):
        return Labelled({**columns, PART: parts})
    partless = [name for name, part in zip(names, parts, strict=True) if part is None]
    if len(partless) == len(names):
        return Labelled(columns)
    note = f"{len(names) - len(partless)} images lie in folders that name parts and the others, first {shown(partless[0])}, do not"
    return Labelled(columns, [f"{note}: there is no column {PART!r}."])


def by_file(
    names: Sequence[str], labels: Member, database: duckdb.DuckDBPyConnection, options: DatasetOptions, workspace: Path
) -> Labelled:
    """Label each image by its line of `labels.csv`; further columns of it come along. Every image has a line, and every line an image."""
    try:
        header, lines, notes = _read(labels, database, options, workspace)
    except Unreadable as refusal:
        raise Unreadable(refusal.code, f"{LABELS_FILE}: {refusal.detail}") from None
    at = _positions(header)
    folder = PurePosixPath(labels.name).parent
    line_of: dict[str, int] = {}
    known = set(names)
    for index, line in enumerate(lines):
        name = _image_named(line[at[FILE]], folder, known)
        if name is None:
            raise _flawed(f"{index + 1}. row names the file {shown(line[at[FILE]])}, which the archive does not hold")
        if name in line_of:
            raise _flawed(f"rows {line_of[name] + 1} and {index + 1} are both about {shown(name)}; keep one of them")
        line_of[name] = index
    without = [name for name in names if name not in line_of]
    if without:
        raise Unreadable("no_class", f"{LABELS_FILE} does not list {listed(without)}; add a row for each image, or remove it.")
    rest = [name for name in header if name not in (header[at[FILE]], header[at[LABEL]])]
    columns: dict[str, Sequence[str | None]] = {FILE: names}
    for column, position in {LABEL: at[LABEL], **{name: header.index(name) for name in rest}}.items():
        columns[column] = [lines[line_of[name]][position] for name in names]
    return Labelled(columns, [f"{LABELS_FILE}: {note}" for note in notes])


def _read(
    labels: Member, database: duckdb.DuckDBPyConnection, options: DatasetOptions, workspace: Path
) -> tuple[list[str], list[tuple[str | None, ...]], list[str]]:
    path = workspace / LABELS_FILE
    path.write_bytes(labels.content)
    header = True if options.header is None else options.header
    source = open_csv(path, False, options.model_copy(update={"header": header, "columns": {}, "exclude": []}), workspace)
    values = ", ".join(cells.text(cells.bare(f"c{position}"), source.notation) for position in range(len(source.names)))
    return source.names, database.execute(f"SELECT {values} FROM {source.relation}").fetchall(), source.notes


def _positions(header: Sequence[str]) -> dict[str, int]:
    plain = [name.strip().lower() for name in header]
    for needed in (FILE, LABEL):
        if needed not in plain:
            raise _flawed(
                f"it has the columns {listed(header)} and none named {needed!r}; name its columns {FILE},{LABEL} in the first line"
            )
    if IMAGE_COLUMN in plain:
        raise _flawed(f"a column is named {IMAGE_COLUMN!r}, as that of the pixels; rename it")
    return {needed: plain.index(needed) for needed in (FILE, LABEL)}


def _image_named(cell: str | None, folder: PurePosixPath, known: set[str]) -> str | None:
    """Return the image a cell means: by its path from the folder of `labels.csv`, or from the archive's root."""
    if cell is None:
        return None
    steps = [step for step in cell.replace("\\", "/").split("/") if step not in ("", ".")]
    return next((name for name in (str(folder.joinpath(*steps)), "/".join(steps)) if name in known), None)


def _flawed(why: str) -> Unreadable:
    return Unreadable("bad_labels_file", f"{LABELS_FILE} cannot be used: {why}.")
