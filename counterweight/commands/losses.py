"""`counterweight losses`: what there is to choose from, what a choice comes to, and how it looks."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterweight.commands.options import Alpha, Gamma, LossParameters, Output, Quiet, connect, loss_document
from counterweight.commands.output import Cells, print_json, print_many, print_one, print_table

if TYPE_CHECKING:
    from counterweight.contracts.loss_catalogue import LossCard
    from counterweight.contracts.loss_curves import LossCurve
    from counterweight.contracts.loss_resolution import LossAnswer

app = typer.Typer(help="See which losses there are, and what they come to.", no_args_is_help=True, rich_markup_mode=None)

Kind = Annotated[str, typer.Argument(help="The kind of loss, such as focal: see `counterweight losses list`.")]


@app.command("list")
def list_losses(output: Output = "table", quiet: Quiet = False) -> None:
    """List the losses there are."""
    with connect() as client:
        print_many(client.losses.list(), output, quiet, _row)


@app.command()
def resolve(
    kind: Kind,
    dataset_id: Annotated[str, typer.Argument(help="The dataset to train on.")],
    gamma: Gamma = None,
    alpha: Alpha = None,
    parameter: LossParameters = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Tell what a loss comes to on a dataset: weights, shifts and margins by class, and what to know."""
    question = {"dataset_id": dataset_id, "loss": loss_document(kind, gamma, alpha, parameter)}
    with connect() as client:
        print_one(client.losses.resolve(json.dumps(question)), output, quiet, _details)


@app.command()
def curve(
    kind: Kind,
    gamma: Gamma = None,
    alpha: Alpha = None,
    parameter: LossParameters = None,
    rows: Annotated[int, typer.Option(help="Training rows of two classes.")] = 10_000,
    positive_rows: Annotated[int, typer.Option(help="How many of them are positive.")] = 1_000,
    points: Annotated[int, typer.Option(help="Values of p.")] = 9,
    output: Output = "table",
) -> None:
    """Print a loss and its gradient against the probability p of the true class."""
    loss = loss_document(kind, gamma, alpha, parameter)
    with connect() as client:
        drawn = client.losses.curve(**loss, rows=rows, positive_rows=positive_rows, points=points)
    if output == "table":
        print_table(_points(drawn))
    else:
        print_json(drawn, output)


def _row(card: "LossCard") -> Cells:
    return {"kind": card.kind, "formula": card.formula, "use when": card.use_when, "not when": card.avoid_when, "paper": card.paper or ""}


def _details(answer: "LossAnswer") -> Cells:
    values = answer.resolved
    return {
        "loss": json.dumps(answer.requested.model_dump(mode="json")),
        "target": answer.target,
        "positive label": answer.positive_label or "",
        "training rows": _by_label(answer.rows),
        "weights": _by_label(values.weights),
        "later weights": "" if values.deferred_weights is None else _by_label(values.deferred_weights),
        "alpha": "" if values.alpha is None else _by_label(values.alpha),
        "shift": _by_label(values.shift) if any(values.shift.values()) else "",
        "margin": _by_label(values.margin) if any(values.margin.values()) else "",
        "initial loss": "" if answer.initial_loss is None else f"{answer.initial_loss:.6g}",
        "notes": "; ".join(answer.notes),
    }


def _by_label(values: dict[str, Any]) -> str:
    return ", ".join(f"{label} {value:.6g}" for label, value in values.items())


def _points(drawn: "LossCurve") -> list[Cells]:
    columns = {
        "p": drawn.p,
        "loss, positive": drawn.positive.loss,
        "gradient, positive": drawn.positive.gradient,
        "loss, negative": drawn.negative.loss,
        "gradient, negative": drawn.negative.gradient,
    }
    return [dict(zip(columns, (f"{value:.6g}" for value in point), strict=True)) for point in zip(*columns.values(), strict=True)]
