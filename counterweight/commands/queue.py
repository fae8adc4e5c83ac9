"""`counterweight queue`: what waits, in which order, and for what."""

import sys
from typing import TYPE_CHECKING

from counterweight.commands.options import Limit, Output, Quiet, connect
from counterweight.commands.output import Cells, print_many
from counterweight.commands.wording import about

if TYPE_CHECKING:
    from counterweight.contracts.queue import QueuedJob, QueuePage


def list_queue(limit: Limit = 50, output: Output = "table", quiet: Quiet = False) -> None:
    """List the queued jobs, the next one first: where each stands, about when it starts, and what keeps it waiting."""
    with connect() as client:
        if output == "table" and not quiet:
            sys.stderr.write(_summary(client.queue.summary()) + "\n")
        print_many(client.queue.list(limit=limit), output, quiet, _row)


def _summary(page: "QueuePage") -> str:
    limit = "" if page.limits.max_running_jobs is None else f" of at most {page.limits.max_running_jobs}"
    return f"{page.queued} queued, {page.running}{limit} running; {page.busy} of {page.slots} slots busy"


def _row(job: "QueuedJob") -> Cells:
    return {
        "id": job.id,
        "name": job.name,
        "priority": str(job.priority),
        "ahead": str(job.queue.position),
        "starts": "" if job.queue.eta_s is None else about(job.queue.eta_s),
        "waits for": "; ".join(job.queue.blocked_by),
    }
