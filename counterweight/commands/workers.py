"""`counterweight workers`: who trains, and letting one of them finish."""

from typing import TYPE_CHECKING

import typer

from counterweight.commands.options import Limit, Output, Quiet, connect
from counterweight.commands.output import Cells, print_many, print_one

if TYPE_CHECKING:
    from counterweight.contracts.workers import WorkerView

app = typer.Typer(help="See who trains, and let one of them finish.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_workers(limit: Limit = 50, output: Output = "table", quiet: Quiet = False) -> None:
    """List the workers that live: their devices and memory, what they train, and when they last showed that they live."""
    with connect() as client:
        print_many(client.workers.list(limit=limit), output, quiet, _row)


@app.command()
def drain(worker_id: str, output: Output = "table", quiet: Quiet = False) -> None:
    """Let a worker finish what it has and take no more. To have its work given back at once, stop its process instead."""
    with connect() as client:
        print_one(client.workers.drain(worker_id), output, quiet, _row)


def _row(worker: "WorkerView") -> Cells:
    gpus = [slot.gpu_memory_bytes for slot in worker.devices if slot.gpu_memory_bytes is not None]
    return {
        "id": worker.id,
        "state": worker.state if worker.blocked_by is None else f"{worker.state}: {worker.blocked_by}",
        "host": worker.host,
        "devices": ", ".join(dict.fromkeys(slot.device for slot in worker.devices)),
        "slots": f"{worker.busy} of {len(worker.devices)} busy",
        "GPU memory": f"{min(gpus) / 1e9:.0f} GB" if gpus else "",
        "jobs": ", ".join(worker.jobs),
        "heartbeat": f"{worker.heartbeat_at:%Y-%m-%d %H:%M:%S}",
    }
