"""`counterweight datasets`: upload a file, and see what was found in it."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from counterweight.commands.options import DryRun, Labels, Limit, Output, Quiet, TimeoutS, connect, label_changes, said
from counterweight.commands.output import Cells, deletion_details, print_many, print_one

if TYPE_CHECKING:
    from counterweight.contracts.datasets import DatasetView

app = typer.Typer(help="Upload tables, and see what was found in them.", no_args_is_help=True, rich_markup_mode=None)

TABS = {"tab": "\t", "\\t": "\t"}
"""How people write a tab in a shell."""


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet, or an archive of images.", exists=True, dir_okay=False, readable=True)],
    target: Annotated[str | None, typer.Option(help="The column to predict; a file without header has column_0, column_1, …")] = None,
    positive_label: Annotated[str | None, typer.Option(help="The event, such as fraud; the rarer of two classes when left out.")] = None,
    header: Annotated[bool | None, typer.Option("--header/--no-header", help="Whether the first line names the columns.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="What stands between cells; `tab` for a tab.")] = None,
    decimal: Annotated[Literal[".", ","] | None, typer.Option(help="The decimal mark.")] = None,
    encoding: Annotated[str | None, typer.Option(help="A Python codec name, such as latin-1.")] = None,
    file_format: Annotated[str | None, typer.Option("--format", help="csv, parquet, zip or tar; found when left out.")] = None,
    null_value: Annotated[list[str] | None, typer.Option(help="A cell that means missing; can be given again.")] = None,
    image_size: Annotated[int | None, typer.Option(help="The side in pixels of the squares that images are scaled to.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A column that is never a feature; can be given again.")] = None,
    group_column: Annotated[str | None, typer.Option(help="Whose cells tell groups that no split tears; never a feature.")] = None,
    time_column: Annotated[str | None, typer.Option(help="Whose cells tell the time, to test on later rows; never a feature.")] = None,
    weight_column: Annotated[str | None, typer.Option(help="Whose cells tell how much a row counts; never a feature.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it; the file's name when left out.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the file was read.")] = True,
    timeout: TimeoutS = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Upload a file. The same bytes with the same options are the same dataset."""
    given = {
        "target": target,
        "positive_label": positive_label,
        "header": header,
        "delimiter": TABS.get(delimiter or "", delimiter),
        "decimal": decimal,
        "encoding": encoding,
        "format": file_format,
        "null_values": null_value,
        "exclude": exclude,
        "group_column": group_column,
        "time_column": time_column,
        "weight_column": weight_column,
        "image_size": image_size,
    }
    with connect() as client:
        dataset = client.datasets.upload(file, name=name, options=json.dumps(said(given)))
        if wait:
            dataset = client.datasets.wait(dataset.id, timeout)
    print_one(dataset, output, quiet, _details)
    if dataset.state == "failed":
        raise typer.Exit(1)
    if dataset.state == "ready" and dataset.target is None and not quiet:
        sys.stderr.write("Nothing can be trained on it yet: upload it again with --target, the column to predict\n")


@app.command("list")
def list_datasets(limit: Limit = 50, output: Output = "table", quiet: Quiet = False) -> None:
    """List datasets, newest first."""
    with connect() as client:
        print_many(client.datasets.list(limit=limit), output, quiet, _row)


@app.command()
def show(dataset_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Show what is known of a dataset."""
    with connect() as client:
        print_one(client.datasets.get(dataset_id), output, quiet, _details)


@app.command()
def update(
    dataset_id: str,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    label: Labels = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Change a dataset's name or labels."""
    with connect() as client:
        print_one(client.datasets.update(dataset_id, name=name, labels=label_changes(label)), output, quiet, _details)


@app.command()
def delete(dataset_id: str, dry_run: DryRun = False, output: Output = "table", quiet: Quiet = False) -> None:
    """Delete a dataset no job was made on, with its files."""
    with connect() as client:
        print_one(client.datasets.delete(dataset_id, dry_run=dry_run), output, quiet, deletion_details)


def _row(dataset: "DatasetView") -> Cells:
    return {
        "id": dataset.id,
        "name": dataset.name,
        "state": dataset.state,
        "rows": _number(dataset.rows),
        "target": dataset.target or "",
        "classes": _classes(dataset),
        "created": f"{dataset.created_at:%Y-%m-%d %H:%M}",
    }


def _details(dataset: "DatasetView") -> Cells:
    return {
        **_row(dataset),
        "positive label": dataset.positive_label or "",
        "imbalance ratio": "" if dataset.imbalance_ratio is None else f"{dataset.imbalance_ratio:.4g} to 1",
        "columns": str(len(dataset.columns)) if dataset.columns else "",
        "format": dataset.format or "",
        **({} if dataset.image_size is None else {"images": f"{dataset.image_size} x {dataset.image_size} pixels"}),
        "bytes": _number(dataset.bytes),
        "sha256": dataset.sha256,
        "labels": ", ".join(f"{key}={value}" for key, value in dataset.labels.items()),
        "notes": "; ".join(dataset.notes),
        "error": "" if dataset.error is None else f"{dataset.error.code}: {dataset.error.detail}",
    }


def _classes(dataset: "DatasetView") -> str:
    shown = [f"{share.label} {share.fraction:.2%}" for share in dataset.classes[:5]]
    return ", ".join(shown) + (f" and {len(dataset.classes) - 5} more" if len(dataset.classes) > 5 else "")


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
