"""Read a user's file into the canonical table: `ingest` is all that an agent's child process calls."""

import shutil
from pathlib import Path

import duckdb

from counterweight.contracts.datasets import DatasetOptions, TableFacts
from counterweight.contracts.images import PIXELS_FILE
from counterweight.contracts.messages import Ingested, IngestRefused, IngestTask
from workers.ingest.copies import copy_notes
from workers.ingest.csv_source import open_csv, unreadable_row
from workers.ingest.engine import connect
from workers.ingest.errors import Unreadable
from workers.ingest.facts import column_facts, part_classes
from workers.ingest.formats import ARCHIVES, sniff_format
from workers.ingest.image_source import for_images, open_images
from workers.ingest.numbering import numbering_notes
from workers.ingest.parquet_source import damaged, open_parquet
from workers.ingest.readings import first_readings
from workers.ingest.renaming import rename_labels
from workers.ingest.sources import Source
from workers.ingest.table import publish, write_table
from workers.ingest.target import find_classes, find_positive_label, label_notes, target_position

TABLE = "table.parquet"
_WORKSPACE = ".reading"


def ingest(task: IngestTask) -> Ingested | IngestRefused:
    """Read the task's source into its folder; a refusal leaves nothing there."""
    workspace = Path(task.folder) / _WORKSPACE
    shutil.rmtree(workspace, ignore_errors=True)
    workspace.mkdir(parents=True)
    try:
        facts = _read(task, workspace)
    except Unreadable as refusal:
        return IngestRefused(code=refusal.code, detail=refusal.detail)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return Ingested(facts=facts, table=TABLE)


def _read(task: IngestTask, workspace: Path) -> TableFacts:
    path = Path(task.source)
    found = sniff_format(path, task.options.format)
    with connect(task, workspace / "spill") as database:
        options = task.options
        if options.image_size is not None and found.format not in ARCHIVES:
            raise Unreadable("format_mismatch", "options.image_size is for archives of images, and this is a table; leave it out.")
        if found.format in ARCHIVES:
            options = for_images(options)
            source = open_images(path, found, database, options, workspace)
        elif found.format == "parquet":
            source = open_parquet(path, database, options)
        else:
            source = open_csv(path, found.gzipped, options, workspace)
        try:
            facts, partial = _written(options, database, source, workspace)
        except duckdb.OutOfMemoryException:
            raise Unreadable(
                "out_of_memory",
                f"The table does not fit {task.memory_limit_mb} MiB of memory; upload fewer columns, or ask for more memory.",
            ) from None
        except duckdb.Error as error:
            if source.format == "parquet":
                raise damaged(error, path) from None
            if isinstance(error, duckdb.InvalidInputException):
                raise unreadable_row(error) from None
            raise
    if source.image_size is not None:
        publish(workspace / PIXELS_FILE, Path(task.folder) / PIXELS_FILE)
    publish(partial, Path(task.folder) / TABLE)
    return facts


def _written(options: DatasetOptions, database: duckdb.DuckDBPyConnection, source: Source, workspace: Path) -> tuple[TableFacts, Path]:
    partial = workspace / TABLE
    position = target_position(options, source.names)
    target = None if position is None else source.names[position]
    readings, settling_notes = write_table(database, source, first_readings(source, options, position), partial)
    if target is not None and options.rename_labels:
        settling_notes = [*settling_notes, rename_labels(database, partial, target, options.rename_labels)]
    classes = [] if target is None else find_classes(database, partial, source, target)
    columns, text_notes = column_facts(database, partial, source, readings)
    facts = TableFacts(
        kind="tabular" if source.image_size is None else "image",
        format=source.format,
        rows=source.rows,
        columns=columns,
        target=target,
        positive_label=find_positive_label(options, classes) if classes else None,
        classes=classes,
        part_classes=part_classes(database, partial, columns, target),
        image_size=source.image_size,
        notes=[
            *source.notes,
            *settling_notes,
            *text_notes,
            *label_notes(classes),
            *numbering_notes(database, partial, columns, options, target, source.rows),
            *copy_notes(database, partial, columns, options, target, source.rows),
        ],
    )
    return facts, partial
