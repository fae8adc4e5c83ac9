"""`counterweight studies`: which loss should I use? Several losses and seeds on identical splits, compared."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from counterweight.commands.codes import FAILED, SUCCEEDED
from counterweight.commands.options import (
    LOSS_GRAMMAR,
    DryRun,
    Labels,
    Limit,
    Output,
    Quiet,
    TimeoutS,
    connect,
    label_changes,
    put,
    read_document,
    read_loss,
    read_value,
    said,
)
from counterweight.commands.outcomes import FailStudyIf, check_study_gates, check_wait, read_study_gates, study_outcome
from counterweight.commands.output import Cells, deletion_details, print_details, print_many, print_one
from counterweight.commands.study_progress import follow, standing
from counterweight.commands.study_report import print_study
from counterweight.commands.wording import place_in_words

if TYPE_CHECKING:
    from counterweight.client import Client
    from counterweight.contracts.studies import StudyPlan, StudySummary

app = typer.Typer(help="Compare losses on identical splits, and hear what can be said.", no_args_is_help=True, rich_markup_mode=None)

ALL = "all"
MOST_SEEDS = 2000
"""More jobs than that no study has."""


@app.command()
def compare(
    dataset: Annotated[str | None, typer.Argument(help="A dataset's id, or a file to upload; can stand in --spec instead.")] = None,
    loss: Annotated[
        list[str] | None,
        typer.Option(
            metavar=LOSS_GRAMMAR,
            help="Such as focal or focal:gamma=1; once for each. When left out, all kinds; of two that are the same, logit_adjusted.",
        ),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N|LIST", help="How many times to train each, or the seeds themselves: 3,14,15. [5]")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What to compare by. [average_precision]")] = None,
    minimum_difference: Annotated[float | None, typer.Option(help="The smallest difference that would matter to you. [0.01]")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LIST", help="Try values with every loss, such as training.learning_rate=0.001,0.003; once for each name."
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict; the dataset's when left out.")] = None,
    positive_label: Annotated[str | None, typer.Option(help="The event, such as fraud; the rarer of two classes when left out.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A column that is no feature here; can be given again.")] = None,
    learner: Annotated[str | None, typer.Option(help="auto, linear, mlp, tabm or, for images, resnet.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    label: Labels = None,
    priority: Annotated[int | None, typer.Option(help="0 to 100, higher first.")] = None,
    spec: Annotated[Path | None, typer.Option(help="A whole study as JSON; options override it.", exists=True, dir_okay=False)] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the study is over; the exit code tells how.")] = False,
    fail_if: FailStudyIf = None,
    timeout: TimeoutS = None,
    dry_run: DryRun = False,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Train each loss once for each seed, on identical splits, and compare them; with --dry-run, only check it and say what it may need."""
    gates = read_study_gates(fail_if)
    check_wait("study", gates, wait, dry_run)
    document = read_document(spec, "study")
    own = {"name": name, "labels": label_changes(label), "seeds": _seeds(seeds), "metric": metric, "minimum_difference": minimum_difference}
    document |= said(own)
    if loss or "losses" not in document:
        document["losses"] = _losses(loss or [ALL])
    put(document, "vary", dict(map(_varied, vary or [])))
    kind = None if learner is None else {"kind": learner}
    document["base"] = recipe = put(document, "base", {"exclude": exclude, "priority": priority, "learner": kind})
    put(recipe, "training", {"max_epochs": epochs})
    with connect() as client:
        if dataset is None or _is_id(dataset):
            recipe |= said({"dataset_id": dataset, "target": target})
            put(recipe, "evaluation", {"positive_label": positive_label})
        elif dry_run:
            raise typer.BadParameter(f"--dry-run needs a dataset that is on the server: counterweight datasets upload {dataset}")
        else:
            recipe["dataset_id"] = _uploaded(client, Path(dataset), target, positive_label, timeout)
        if "dataset_id" not in recipe:
            raise typer.BadParameter("name the data to compare on: counterweight studies compare data.csv --target COLUMN")
        if dry_run:
            print_details(client.studies.plan(json.dumps(document)), output, _plan)
            return
        if gates:
            check_study_gates(gates, client.studies.plan(json.dumps(document)).metric)
        study = client.studies.create(json.dumps(document))
        if wait:
            if not quiet:
                typer.echo(f"Created {study.id}: {study.jobs} jobs", err=True)
            study = follow(client, study.id, timeout, quiet)
    print_study(study, output, quiet)
    raise typer.Exit(study_outcome(study, gates) if wait else SUCCEEDED)


@app.command("list")
def list_studies(limit: Limit = 50, output: Output = "table", quiet: Quiet = False) -> None:
    """List studies, newest first."""
    with connect() as client:
        print_many(client.studies.list(limit=limit), output, quiet, _row)


@app.command()
def show(study_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Show a study: leaderboard, paired differences, and the verdict."""
    with connect() as client:
        print_study(client.studies.get(study_id), output, quiet)


@app.command()
def wait(study_id: str, fail_if: FailStudyIf = None, timeout: TimeoutS = None, output: Output = "table", quiet: Quiet = False) -> None:
    """Wait until a study is over. Exit code 0: succeeded, 1: failed, 3: cancelled, 6: a gate failed, 124: still going. Ctrl-C detaches."""
    gates = read_study_gates(fail_if)
    with connect() as client:
        if gates:
            check_study_gates(gates, client.studies.get(study_id).metric)
        study = follow(client, study_id, timeout, quiet)
    print_study(study, output, quiet)
    raise typer.Exit(study_outcome(study, gates))


@app.command()
def cancel(study_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Ask for the end of all jobs of a study."""
    with connect() as client:
        print_one(client.studies.cancel(study_id), output, quiet, _row)


@app.command()
def pause(study_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Let all jobs of a study free the device and keep the place."""
    with connect() as client:
        print_one(client.studies.pause(study_id), output, quiet, _row)


@app.command()
def resume(study_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Let the paused jobs of a study go on."""
    with connect() as client:
        print_one(client.studies.resume(study_id), output, quiet, _row)


@app.command()
def retry(
    study_id: str,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the study is over; the exit code tells how.")] = False,
    timeout: TimeoutS = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Train anew what failed or was cancelled of a study that is over, and compare again."""
    with connect() as client:
        study = client.studies.retry(study_id)
        if wait:
            study = follow(client, study.id, timeout, quiet)
    print_study(study, output, quiet)
    raise typer.Exit(study_outcome(study, read_study_gates(None)) if wait else SUCCEEDED)


@app.command()
def update(
    study_id: str,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    label: Labels = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Change a study's name or labels."""
    with connect() as client:
        print_one(client.studies.update(study_id, name=name, labels=label_changes(label)), output, quiet, _row)


@app.command()
def delete(study_id: str, dry_run: DryRun = False, output: Output = "table", quiet: Quiet = False) -> None:
    """Delete a study that is over, with its jobs and all they made."""
    with connect() as client:
        print_one(client.studies.delete(study_id, dry_run=dry_run), output, quiet, deletion_details)


def _is_id(dataset: str) -> bool:
    return re.fullmatch(r"ds_[0-9A-Z]{26}", dataset) is not None


def _uploaded(client: "Client", file: Path, target: str | None, positive_label: str | None, timeout_s: float | None) -> str:
    """Upload a file, and return the dataset's id once it was read; the end of the command when it could not be."""
    if not file.is_file():
        raise typer.BadParameter(f"{str(file)!r} is no file here, and no dataset's id, which is ds_ and 26 letters and digits")
    options = said({"target": target, "positive_label": positive_label})
    dataset = client.datasets.wait(client.datasets.upload(file, options=json.dumps(options)).id, timeout_s)
    if dataset.error is not None:
        typer.echo(f"Error: {file} could not be read: {dataset.error.detail}", err=True)
        raise typer.Exit(FAILED)
    return dataset.id


def _losses(texts: list[str]) -> list[dict[str, Any]]:
    """Read what `--loss` was given; `all` is one of each kind."""
    # The contracts take 0.2 s to import, which `--help` should not wait for.
    from counterweight.contracts.losses import one_of_each  # noqa: PLC0415

    return [loss for text in texts for loss in ([{"kind": one.kind} for one in one_of_each()] if text == ALL else [read_loss(text)])]


def _seeds(text: str | None) -> list[int] | None:
    """Read `5` as five seeds from 0 on, and `3,14` as these two."""
    if text is None:
        return None
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number of seeds nor a list of them, such as 3,14,15", param_hint="--seeds"
        ) from None
    if "," not in text and not 1 <= numbers[0] <= MOST_SEEDS:
        raise typer.BadParameter(f"{text} is no number of seeds; give 2 to {MOST_SEEDS:,}, or name them: 3,14,15", param_hint="--seeds")
    return numbers if "," in text else list(range(numbers[0]))


def _varied(text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    if not (equals and values):
        raise typer.BadParameter(f"{text!r} is no list of values; write training.learning_rate=0.001,0.003", param_hint="--vary")
    return name.strip(), [read_value(value.strip()) for value in values.split(",")]


def _row(study: "StudySummary") -> Cells:
    return {
        "id": study.id,
        "name": study.name,
        "state": study.state,
        "arms": str(study.arms),
        "jobs": standing(study),
        "metric": study.metric,
        "winner": "" if study.verdict is None else study.verdict.winner or study.verdict.outcome.replace("_", " "),
        "created": f"{study.created_at:%Y-%m-%d %H:%M}",
    }


def _plan(plan: "StudyPlan") -> Cells:
    time = plan.time
    return {
        "name": plan.name,
        "arms": "; ".join(arm.arm for arm in plan.arms),
        "jobs": str(plan.jobs),
        "metric": plan.metric,
        "notes": "; ".join(plan.notes),
        "memory": f"{plan.memory.bytes / 1e6:,.0f} MB: {plan.memory.basis}",
        "time": time.basis if time.at_most_s is None else f"at most {time.at_most_s:,.0f} s: {time.basis}",
        "queue": place_in_words(plan.queue),
    }
