"""`counterweight jobs`: submit a training job, follow it, and see what came of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterweight.commands import results
from counterweight.commands.codes import SUCCEEDED
from counterweight.commands.following import LIVE_EVERY_S, detachable, follow, progress_line
from counterweight.commands.options import (
    LOSS_GRAMMAR,
    Alpha,
    DryRun,
    Gamma,
    Labels,
    Limit,
    LossParameters,
    Output,
    Quiet,
    TimeoutS,
    connect,
    label_changes,
    loss_document,
    put,
    read_document,
    said,
)
from counterweight.commands.outcomes import FailIf, check_job_gates, check_wait, outcome, read_gates
from counterweight.commands.output import Cells, deletion_details, print_details, print_lines, print_many, print_one
from counterweight.commands.wording import measured, place_in_words
from counterweight.reasons import offsets_reason, reason

if TYPE_CHECKING:
    from counterweight.client import Client
    from counterweight.contracts.evaluation import ThresholdChoice
    from counterweight.contracts.jobs import JobPlan, JobView

app = typer.Typer(help="Train, wait, compare.", no_args_is_help=True, rich_markup_mode=None)

HEADLINES = ("test/average_precision", "test/macro_average_precision")


@app.command()
def submit(
    dataset_id: Annotated[str | None, typer.Argument(help="The dataset to train on; can stand in --spec instead.")] = None,
    loss: Annotated[
        str | None, typer.Option(metavar=LOSS_GRAMMAR, help="Such as focal or focal:gamma=1: see `counterweight losses list`.")
    ] = None,
    gamma: Gamma = None,
    alpha: Alpha = None,
    parameter: LossParameters = None,
    learner: Annotated[str | None, typer.Option(help="auto, linear, mlp, tabm or, for images, resnet.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the training; the split keeps its own.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most.")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict, if it is to be checked: it must be the dataset's.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="A column that is no feature here; can be given again.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    label: Labels = None,
    priority: Annotated[int | None, typer.Option(help="0 to 100, higher first.")] = None,
    spec: Annotated[Path | None, typer.Option(help="A whole job as JSON; options override it.", exists=True, dir_okay=False)] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the job is over; the exit code tells how.")] = False,
    fail_if: FailIf = None,
    timeout: TimeoutS = None,
    dry_run: DryRun = False,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Queue a training job; with --dry-run, only check it and say what it may need."""
    gates = read_gates(fail_if)
    check_wait("job", gates, wait, dry_run)
    document = read_document(spec, "job")
    document |= said({"dataset_id": dataset_id, "target": target, "exclude": exclude, "name": name, "priority": priority})
    document |= said({"labels": label_changes(label)})
    if loss is not None:
        document["loss"] = {}
    if learner is not None:
        document["learner"] = {"kind": learner}
    put(document, "loss", loss_document(loss, gamma, alpha, parameter))
    put(document, "training", {"seed": seed, "max_epochs": epochs})
    if "dataset_id" not in document:
        raise typer.BadParameter("name the dataset to train on: counterweight jobs submit ds_… (or in the file given as --spec)")
    with connect() as client:
        if dry_run:
            print_details(client.jobs.plan(json.dumps(document)), output, _plan)
            return
        if gates:
            check_job_gates(gates, client.jobs.plan(json.dumps(document)).spec)
        job = client.jobs.submit(json.dumps(document))
        if wait:
            if not quiet:
                typer.echo(f"Submitted {job.id}", err=True)
            job = follow(client, job.id, timeout, quiet)
        _print(client, job, output, quiet)
    raise typer.Exit(outcome(job, gates) if wait else SUCCEEDED)


@app.command("list")
def list_jobs(
    where: Annotated[str | None, typer.Option("--filter", help="Such as: state = succeeded AND NOT loss.kind = focal.")] = None,
    sort: Annotated[
        str | None, typer.Option(help='By what, such as name or -metrics."test/average_precision"; `-` for the largest first.')
    ] = None,
    limit: Limit = 50,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """List jobs, newest first unless sorted otherwise."""
    with connect() as client:
        print_many(client.jobs.list(filter=where, sort=sort, limit=limit), output, quiet, _row)


@app.command()
def show(job_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Show what is known of a job."""
    with connect() as client:
        _print(client, client.jobs.get(job_id), output, quiet)


@app.command()
def wait(job_id: str, fail_if: FailIf = None, timeout: TimeoutS = None, output: Output = "table", quiet: Quiet = False) -> None:
    """Wait until a job is over. Exit code 0: succeeded, 1: failed, 3: cancelled, 6: a gate failed, 124: still going. Ctrl-C detaches."""
    gates = read_gates(fail_if)
    with connect() as client:
        if gates:
            check_job_gates(gates, client.jobs.get(job_id).spec)
        job = follow(client, job_id, timeout, quiet)
        _print(client, job, output, quiet)
    raise typer.Exit(outcome(job, gates))


@app.command()
def watch(job_id: str, fail_if: FailIf = None, timeout: TimeoutS = None, output: Output = "table", quiet: Quiet = False) -> None:
    """Tell how far a job has come until it is over: a live line, or with `-o jsonl` the job at each step. Exit codes as of `wait`."""
    gates = read_gates(fail_if)
    with connect() as client, detachable(job_id, "jobs watch"):
        if gates:
            check_job_gates(gates, client.jobs.get(job_id).spec)
        if quiet:
            job = client.jobs.wait(job_id, timeout)
            typer.echo(job.id)
        elif output == "table":
            job = follow(client, job_id, timeout, is_quiet=False)
        else:
            print_lines(client.jobs.watch(job_id, timeout, LIVE_EVERY_S), output, progress_line)
            job = client.jobs.get(job_id)
    raise typer.Exit(outcome(job, gates))


@app.command()
def cancel(job_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Ask for the end of a job."""
    with connect() as client:
        print_one(client.jobs.cancel(job_id), output, quiet, _details)


@app.command()
def pause(job_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Let a job free the device and keep the place."""
    with connect() as client:
        print_one(client.jobs.pause(job_id), output, quiet, _details)


@app.command()
def resume(job_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Let a paused job go on."""
    with connect() as client:
        print_one(client.jobs.resume(job_id), output, quiet, _details)


@app.command()
def retry(
    job_id: str,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the new job is over; the exit code tells how.")] = False,
    timeout: TimeoutS = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Queue a new job with the same spec as one that is over."""
    with connect() as client:
        job = client.jobs.retry(job_id)
        if wait:
            job = follow(client, job.id, timeout, quiet)
        _print(client, job, output, quiet)
    raise typer.Exit(outcome(job) if wait else SUCCEEDED)


@app.command()
def update(
    job_id: str,
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    priority: Annotated[int | None, typer.Option(help="0 to 100, higher first; counts from the next claim on.")] = None,
    label: Labels = None,
    output: Output = "table",
    quiet: Quiet = False,
) -> None:
    """Change a job's name, priority or labels."""
    with connect() as client:
        print_one(client.jobs.update(job_id, name=name, priority=priority, labels=label_changes(label)), output, quiet, _details)


@app.command()
def delete(job_id: str, dry_run: DryRun = False, output: Output = "table", quiet: Quiet = False) -> None:
    """Delete a job that is over, with its metrics, its model and its files."""
    with connect() as client:
        print_one(client.jobs.delete(job_id, dry_run=dry_run), output, quiet, deletion_details)


for command in (results.logs, results.attempts, results.artifacts, results.download, results.operating_point):
    app.command()(command)


def _row(job: "JobView") -> Cells:
    headline = next((job.metrics[name] for name in HEADLINES if name in job.metrics), None)
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "loss": job.spec.loss.kind,
        "epoch": "" if job.progress is None else f"{job.progress.epoch}/{job.progress.epochs}",
        "test AP": "" if headline is None else measured(headline),
        "created": f"{job.created_at:%Y-%m-%d %H:%M}",
    }


def _plan(plan: "JobPlan") -> Cells:
    time = plan.time
    return {
        "name": plan.spec.name,
        "loss": plan.spec.loss.kind,
        "learner": plan.spec.learner.kind,
        "class weights": ", ".join(f"{label}: {weight:.4g}" for label, weight in plan.loss.resolved.weights.items()),
        "notes": "; ".join(plan.loss.notes),
        "memory": f"{plan.memory.bytes / 1e6:,.0f} MB: {plan.memory.basis}",
        "time": time.basis if time.at_most_s is None else f"at most {time.at_most_s:,.0f} s: {time.basis}",
        "queue": place_in_words(plan.queue),
    }


def _print(client: "Client", job: "JobView", output: Output, quiet: bool) -> None:
    """Print a job, and once it is judged, how decisions are made with its model."""
    is_judged = job.state == "succeeded" and output == "table" and not quiet
    decision = _decision(client.jobs.evaluation(job.id).threshold) if is_judged else {}
    print_one(job, output, quiet, lambda job: {**_details(job), **decision})


def _decision(threshold: "ThresholdChoice") -> Cells:
    """From which probability on, or with which offsets of the classes, rows are called."""
    if threshold.reason == "several_classes":
        found = {label: offset for label, offset in threshold.offsets.items() if offset}
        told = ", ".join(f"{label} {offset:+.4g}" for label, offset in found.items())
        if told:
            return {"calls": f"the likeliest class, by {threshold.policy}, after these offsets of log-probability: {told}"}
        return {"calls": f"the likeliest class: {offsets_reason(threshold.offsets_reason)}"}
    if threshold.value is None:
        return {"threshold": f"0.5: {reason(threshold.reason)}"}
    return {"threshold": f"{threshold.value:.6g}, by {threshold.policy}"}


def _details(job: "JobView") -> Cells:
    error = job.error
    return {
        **_row(job),
        "phase": "" if job.is_terminal else job.phase,
        "queue": place_in_words(job.queue) if job.state == "queued" else "",
        "reason": job.state_reason or "",
        "dataset": job.dataset.id,
        "learner": job.spec.learner.kind,
        "seed": str(job.spec.training.seed),
        "priority": str(job.spec.priority),
        "labels": ", ".join(f"{key}={value}" for key, value in job.labels.items()),
        "retry of": job.retry_of or "",
        "class weights": ", ".join(f"{label}: {weight:.4g}" for label, weight in job.loss.resolved.weights.items()),
        "notes": "; ".join([*job.loss.notes, *([] if job.resolved is None else job.resolved.notes)]),
        **{name: measured(metric) for name, metric in sorted(job.metrics.items())},
        "model": job.model_id or "",
        "error": "" if error is None else f"{error.failure_class}: {error.detail}",
        "way out": "" if error is None else error.hint or "",
        "allows": ", ".join(job.allowed_actions),
    }
