"""Waiting for a job: a live line on a terminal, plain lines in a pipe; Ctrl-C detaches and never cancels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from counterweight.commands.codes import INTERRUPTED
from counterweight.commands.output import console
from counterweight.commands.wording import place_in_words

if TYPE_CHECKING:
    from counterweight.client import Client
    from counterweight.contracts.jobs import JobView

LIVE_EVERY_S, PIPED_EVERY_S = 0.5, 10.0


def follow(client: "Client", job_id: str, timeout_s: float | None, is_quiet: bool) -> "JobView":
    """Return the job once it is over, telling on standard error how far it has come."""
    with detachable(job_id):
        return client.jobs.wait(job_id, timeout_s) if is_quiet else _told(client, job_id, timeout_s)


@contextmanager
def detachable(one: str, command: str = "jobs wait") -> Iterator[None]:
    """Let Ctrl-C end the block with exit code 130, saying how to come back; the job, or the study, goes on."""
    try:
        yield
    except KeyboardInterrupt:
        things = command.partition(" ")[0]
        back = f"Come back to it with: counterweight {command} {one}\nEnd it with: counterweight {things} cancel {one}"
        typer.echo(f"\nDetached: {one} goes on. {back}", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _told(client: "Client", job_id: str, timeout_s: float | None) -> "JobView":
    screen = console(is_error=True)
    if not screen.is_terminal:
        told = ""
        for job in client.jobs.watch(job_id, timeout_s, PIPED_EVERY_S):
            if (line := progress_line(job)) != told:
                screen.print(line)
                told = line
        return job
    with screen.status(f"{job_id} …") as status:
        for job in client.jobs.watch(job_id, timeout_s, LIVE_EVERY_S):
            status.update(progress_line(job))
    screen.print(progress_line(job))
    return job


def progress_line(job: "JobView") -> str:
    """Tell in one line where a job stands: `job_… running, training: epoch 12/200, validation/average_precision 0.91 (best 0.93 at 9)`."""
    line = f"{job.id} {job.state}"
    if job.state == "queued" and job.queue.position is not None:
        line += f", {place_in_words(job.queue)}"
    if not job.is_terminal and job.phase != "waiting":
        line += f", {job.phase}"
    if job.progress is not None:
        line += f": epoch {job.progress.epoch}/{job.progress.epochs}"
    for name, seen in sorted(job.latest.items()):
        if name in ("validation/average_precision", "validation/log_loss"):
            line += f", {name} {seen.value:.4f} (best {seen.best:.4f} at {seen.best_epoch})"
    return line
