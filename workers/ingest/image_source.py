"""An archive of images as a source: a table with a row for each image, and beside it the file of all pixels."""

import hashlib
import json
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb

from counterweight.contracts.datasets import ColumnOptions, DatasetOptions
from counterweight.contracts.images import IMAGE_COLUMN, PIXEL_DIGEST_BYTES, PIXELS_FILE, PIXELS_NAME
from workers.ingest.cells import Notation
from workers.ingest.errors import Unreadable, shown
from workers.ingest.formats import Found
from workers.ingest.image_labels import FILE, LABEL, Labelled, by_file, by_folder
from workers.ingest.image_survey import survey
from workers.ingest.members import members
from workers.ingest.pictures import Pixels, pixels_of
from workers.ingest.sources import Source

PIXEL_BYTES_LIMIT = 16 << 30
_RELATION = "images"
_ROWS_AT_ONCE = 10_000


def open_images(path: Path, found: Found, database: duckdb.DuckDBPyConnection, options: DatasetOptions, workspace: Path) -> Source:
    """Return the archive at `path` as a table of text, and write the pixels of all images into `workspace`."""
    warnings.filterwarnings("ignore", module=r"PIL\b")  # what decoders grumble about and read all the same
    seen = survey(path, found)
    labelled = by_folder(seen.names) if seen.labels is None else by_file(seen.names, seen.labels, database, options, workspace)
    side, rows = seen.side(options.image_size), len(seen.names)
    if rows * 3 * side * side > PIXEL_BYTES_LIMIT:
        raise Unreadable(
            "too_many_pixels",
            f"{rows} images of {side} x {side} pixels are more than {PIXEL_BYTES_LIMIT >> 30} GiB; set a smaller options.image_size.",
        )
    images = _decoded(path, found, seen.names, side)
    digests = write_pixels(workspace / PIXELS_FILE, images, (rows, 3, side, side))
    names = _fill(database, Labelled({IMAGE_COLUMN: digests, **labelled.columns}))
    return Source(
        format=found.format,
        relation=_RELATION,
        names=names,
        sql_types=["VARCHAR"] * len(names),
        rows=rows,
        notation=Notation(".", ()),
        place=lambda index: f"the image {shown(labelled.columns[FILE][index])}",
        notes=[*seen.notes(side), *labelled.notes],
        image_size=side,
    )


def for_images(options: DatasetOptions) -> DatasetOptions:
    """Return the options with what is known of the columns that images have."""
    target = LABEL if options.target is None else options.target
    names = {name: ColumnOptions(type="text") for name in (IMAGE_COLUMN, FILE)}
    return options.model_copy(update={"target": target, "columns": {**options.columns, **names}})


def write_pixels(path: Path, images: Iterator[Pixels], shape: tuple[int, int, int, int]) -> list[str]:
    """Write images one after another as one safetensors file, in constant memory; return the digest of each.

    The format is eight bytes of length, a JSON header, and the bytes of the tensors (its README on huggingface.co/docs/safetensors).
    """
    size = shape[0] * shape[1] * shape[2] * shape[3]
    header = json.dumps({PIXELS_NAME: {"dtype": "U8", "shape": shape, "data_offsets": [0, size]}}).encode()
    header += b" " * (-len(header) % 8)
    digests = []
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for pixels in images:
            content = pixels.tobytes()
            digests.append(hashlib.blake2b(content, digest_size=PIXEL_DIGEST_BYTES).hexdigest())
            file.write(content)
    return digests


def _decoded(path: Path, found: Found, names: Sequence[str], side: int) -> Iterator[Pixels]:
    wanted = set(names)
    for member in members(path, found):
        if member.name in wanted:
            yield pixels_of(member.content, member.name, side)


def _fill(database: duckdb.DuckDBPyConnection, labelled: Labelled) -> list[str]:
    """Put the columns into a table of the database as c0, c1, …; return their names."""
    columns = list(labelled.columns.values())
    database.execute(f"CREATE TABLE {_RELATION} ({', '.join(f'c{position} VARCHAR' for position in range(len(columns)))})")
    values = ", ".join("unnest(?::VARCHAR[])" for _ in columns)
    for start in range(0, len(columns[0]), _ROWS_AT_ONCE):
        chunk = [list(column[start : start + _ROWS_AT_ONCE]) for column in columns]
        database.execute(f"INSERT INTO {_RELATION} SELECT {values}", chunk)
    return list(labelled.columns)
