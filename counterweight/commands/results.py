"""What a job leaves: its log, the tries at it, its files, and what any threshold does with its model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from counterweight.commands.codes import GATE_FAILED, SUCCEEDED
from counterweight.commands.following import detachable
from counterweight.commands.options import Output, connect
from counterweight.commands.outcomes import outcome
from counterweight.commands.output import Cells, print_json, print_lines, print_rows, print_table
from counterweight.commands.wording import measured
from counterweight.reasons import reason

if TYPE_CHECKING:
    from counterweight.contracts.artifacts import ArtifactView
    from counterweight.contracts.evaluation import Confusion, OperatingPoint, Spread, ThresholdChoice
    from counterweight.contracts.jobs import AttemptRecord, LogLine, Position


def logs(
    job_id: str,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over; the exit code tells how.")] = False,
    output: Output = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the messages alone.")] = False,
) -> None:
    """Print what the training had to say. Ctrl-C stops following, never the job."""
    with connect() as client, detachable(job_id, "jobs logs --follow"):
        told = client.jobs.log_lines(job_id, follow=follow)
        print_lines(told, "table" if quiet else output, _message if quiet else _log_line)
        code = outcome(client.jobs.get(job_id)) if follow else SUCCEEDED
    raise typer.Exit(code)


def attempts(
    job_id: str, output: Output = "table", quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print numbers only.")] = False
) -> None:
    """List every try at a job: who made it, between which steps, how it ended and what was done about that."""
    with connect() as client:
        found = client.jobs.attempts(job_id)
    if quiet:
        print_lines(found, "table", lambda attempt: str(attempt.number))
    else:
        print_rows(found, output, _attempt_row)


def artifacts(
    job_id: str, output: Output = "table", quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print names only.")] = False
) -> None:
    """List the files a job made."""
    with connect() as client:
        found = client.jobs.artifacts(job_id)
    if quiet:
        print_lines(found, "table", lambda artifact: artifact.name)
    else:
        print_rows(found, output, _file_row)


def download(
    job_id: str,
    names: Annotated[list[str] | None, typer.Argument(help="Which files; all when left out.")] = None,
    to: Annotated[
        Path, typer.Option(help="The folder to write them to; made where it is missing.", file_okay=False, writable=True)
    ] = Path(),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print where each file went.")] = False,
) -> None:
    """Download files of a job, checked against their digests; one that was broken off goes on where it was."""
    with connect() as client:
        wanted = names or [artifact.name for artifact in client.jobs.artifacts(job_id)]
        try:
            to.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise typer.BadParameter(f"{to} cannot be made: {error.strerror}", param_hint="--to") from None
        for name in wanted:
            path = client.jobs.download(job_id, name, to)
            if not quiet:
                typer.echo(path)


def operating_point(
    job_id: str,
    min_precision: Annotated[float | None, typer.Option(help="The greatest recall at this precision, for sure.")] = None,
    min_recall: Annotated[float | None, typer.Option(help="The greatest precision at this recall, for sure.")] = None,
    false_negative: Annotated[float | None, typer.Option(help="What a missed row costs; with --false-positive.")] = None,
    false_positive: Annotated[float | None, typer.Option(help="What a false alarm costs; with --false-negative.")] = None,
    threshold: Annotated[float | None, typer.Option(help="This calibrated probability.")] = None,
    output: Output = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the threshold alone.")] = False,
) -> None:
    """Choose a threshold on the validation rows, in one of these ways, and see what it does. Exit code 6: no threshold does it."""
    with connect() as client:
        found = client.jobs.operating_point(
            job_id,
            min_precision=min_precision,
            min_recall=min_recall,
            false_negative=false_negative,
            false_positive=false_positive,
            threshold=threshold,
        )
    if output != "table" and not quiet:
        print_json(found, output)
    if found.threshold.value is None:
        typer.echo(f"There is none: {reason(found.threshold.reason)}{_way_out(found.threshold)}", err=True)
        raise typer.Exit(GATE_FAILED)
    if quiet:
        typer.echo(f"{found.threshold.value!r}")
    elif output == "table":
        typer.echo(f"Threshold {found.threshold.value:.6g}: from this probability of {found.positive_label!r} on a row is called so")
        if found.threshold.spread is not None:
            typer.echo(f"Few validation rows are {found.positive_label!r}: {_spread(found.threshold.spread)}")
        print_table(_figures(found))


def _way_out(choice: "ThresholdChoice") -> str:
    """Say what a floor that cannot be shown would take without its margin."""
    if choice.floor is None or choice.floor.without_margin is None:
        return ""
    threshold = choice.floor.without_margin
    return f" for sure; with so few rows {threshold:.6g} does by the share alone: see it with --threshold {threshold!r}"


def _spread(spread: "Spread") -> str:
    if spread.low is None or spread.high is None:
        return "with others there may be no such threshold"
    return f"with others the threshold might lie between {spread.low:.4g} and {spread.high:.4g}"


def _figures(point: "OperatingPoint") -> list[Cells]:
    names = next(iter(point.splits.values())).metrics
    metrics: list[Cells] = [{"": name, **{part: measured(split.metrics[name]) for part, split in point.splits.items()}} for name in names]
    counts: list[Cells] = [
        {"": name, **{part: f"{_count(split.confusion, point.positive_label, *cell):,}" for part, split in point.splits.items()}}
        for name, cell in _CELLS.items()
    ]
    return counts + metrics


_CELLS = {"found": (True, True), "missed": (True, False), "false alarms": (False, True), "rightly left": (False, False)}
"""Whether a row is positive, and whether it is called so."""


def _count(confusion: "Confusion", positive: str, is_so: bool, is_called_so: bool) -> int:
    place = confusion.labels.index(positive)
    return confusion.counts[place if is_so else 1 - place][place if is_called_so else 1 - place]


def _message(line: "LogLine") -> str:
    return line.message


def _file_row(artifact: "ArtifactView") -> Cells:
    return {
        "name": artifact.name,
        "bytes": f"{artifact.bytes:,}",
        "type": artifact.media_type,
        "sha256": artifact.sha256,
    }


def _attempt_row(attempt: "AttemptRecord") -> Cells:
    began, reached, kept = (_step(position) for position in (attempt.began, attempt.reached, attempt.kept))
    return {
        "no.": str(attempt.number),
        "host": attempt.host,
        "device": attempt.device or "",
        "started": f"{attempt.started_at:%Y-%m-%d %H:%M:%S}",
        "steps": f"{began} to {reached}" if reached else "",
        "kept": kept,
        "outcome": attempt.outcome or "running",
        "why": attempt.detail or "",
        "then": attempt.action or "",
    }


def _step(position: "Position | None") -> str:
    return "" if position is None else f"{'refit ' if position.is_refit else ''}{position.step}"


def _log_line(line: "LogLine") -> str:
    return f"{line.time:%H:%M:%S} {'' if line.level == 'info' else f'{line.level}: '}{line.message}"
