"""`counterweight demo`: from nothing to three losses compared, on a service of its own."""

import json
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from counterweight.client import Client
from counterweight.commands import codes, exits
from counterweight.contracts.jobs import JobView, Training
from counterweight.contracts.losses import BalancedCrossEntropy, CrossEntropy, Focal
from counterweight.demo.report import RARE, HeldOut, Run, held_out_of, rows_of, run_of, table_of, words_of
from counterweight.demo.server import DemoFailed, OwnServer, own_server, tail
from counterweight.errors import ClientError

LOSSES: Mapping[str, CrossEntropy | BalancedCrossEntropy | Focal] = {
    "cross-entropy": CrossEntropy(),
    "balanced CE": BalancedCrossEntropy(),
    "focal, gamma 2": Focal(gamma=2.0),
}
SEEDS = (0, 1)
READ_TIMEOUT_S, TRAINING_TIMEOUT_S = 60.0, 600.0
LOOK_EVERY_S = 0.3
RESULT = Path("demo.json")


def run(*, keep: bool) -> int:
    """Play the demo; return the exit code. Whatever happens, nothing is left running."""
    # A closed terminal or a kill ends us as Ctrl-C does: through every `finally`.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    home = Path(tempfile.mkdtemp(prefix="counterweight-demo-"))
    try:
        with own_server(home) as server:
            _play(Console(highlight=False), server, keep=keep)
            if keep:
                _stay(server, home)
    except (DemoFailed, ClientError, OSError) as error:
        exits.say(f"The demo failed: {error}")
        exits.say("The last lines of the service's log:")
        for line in tail(home / "serve.log"):
            exits.say(f"  {line}")
        return codes.FAILED
    except KeyboardInterrupt:
        exits.say("Interrupted; the service is stopped")
        return codes.INTERRUPTED
    finally:
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
    return codes.SUCCEEDED


def _play(screen: Console, server: OwnServer, *, keep: bool) -> None:
    screen.print(f"Counterweight runs on {server.url}")
    with Client(server.url) as client:
        dataset_id = _upload(screen, client)
        # Seed by seed, so that each loss has a first result early.
        names = {_submit(client, dataset_id, loss, seed): (loss, seed) for seed in SEEDS for loss in LOSSES}
        _follow(screen, client, names)
        evaluations = {job_id: client.jobs.evaluation(job_id) for job_id in names}
    runs = [run_of(job_id, *names[job_id], evaluation) for job_id, evaluation in evaluations.items()]
    runs.sort(key=lambda run: (list(LOSSES).index(run.loss), run.seed))
    held_out = held_out_of(next(iter(evaluations.values())))
    rows = rows_of(runs)
    screen.print()
    screen.print(table_of(rows))
    for sentence in words_of(rows, held_out, len(SEEDS)):
        screen.print(f"\n{sentence}")
    _write(server.url, dataset_id, runs, held_out)
    _point_onwards(screen, server, runs, keep=keep)


def _upload(screen: Console, client: Client) -> str:
    with as_file(files("counterweight") / "data" / "digits-rare.csv") as path:
        uploaded = client.datasets.upload(path, name="handwritten digits, few eights", target="digit", positive_label=RARE)
    dataset = client.datasets.wait(uploaded.id, READ_TIMEOUT_S)
    if dataset.state != "ready":
        raise DemoFailed(f"the digits could not be read: {dataset.error.detail if dataset.error else dataset.state}")
    rare = next(share for share in dataset.classes if share.label == RARE)
    screen.print(f"Uploaded {dataset.rows} handwritten digits as {dataset.id}: {rare.count} are an 8 ({rare.fraction:.1%})")
    return dataset.id


def _submit(client: Client, dataset_id: str, loss: str, seed: int) -> str:
    return client.jobs.submit(
        name=f"{loss}, seed {seed}", dataset_id=dataset_id, loss=LOSSES[loss], training=Training(seed=seed), labels={"made-by": "demo"}
    ).id


def _follow(screen: Console, client: Client, names: Mapping[str, tuple[str, int]]) -> None:
    """Show the jobs until all are over: bars on a terminal, else a line for each that ends."""
    deadline = time.monotonic() + TRAINING_TIMEOUT_S
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn()]
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        bars = {
            job_id: progress.add_task(f"{loss}, seed {seed}", total=1.0, told="queued", start=False)
            for job_id, (loss, seed) in names.items()
        }
        waiting = set(names)
        while waiting:
            if time.monotonic() > deadline:
                raise DemoFailed(f"training was not done within {TRAINING_TIMEOUT_S:.0f} s")
            for job in client.jobs.list(limit=len(names)):
                if job.id in waiting:
                    _show(progress, bars[job.id], job)
                    if job.is_terminal:
                        waiting.discard(job.id)
                        _check(job)
                        if not screen.is_terminal:
                            screen.print(f"{job.name}: {_told(job)}")
            time.sleep(LOOK_EVERY_S)


def _show(progress: Progress, bar: TaskID, job: JobView) -> None:
    if job.progress is not None:
        progress.start_task(bar)
    # Early stopping ends before the last epoch: the bar is full then all the same.
    fraction = 1.0 if job.is_terminal else job.progress.fraction if job.progress else 0.0
    progress.update(bar, completed=fraction, told=_told(job))
    if job.is_terminal:
        progress.stop_task(bar)


def _told(job: JobView) -> str:
    if job.progress is None:
        return job.state
    seen = job.latest.get("validation/average_precision")
    return f"{job.state}, epoch {job.progress.epoch}" + ("" if seen is None else f", validation AP {seen.value:.3f} (best {seen.best:.3f})")


def _check(job: JobView) -> None:
    if job.state != "succeeded":
        raise DemoFailed(f"the job {job.name!r} ended {job.state}: {job.error.detail if job.error else job.state_reason}")


def _write(url: str, dataset_id: str, runs: Sequence[Run], held_out: HeldOut) -> None:
    shown = {
        "server": url,
        "dataset_id": dataset_id,
        "test": asdict(held_out),
        "losses": [asdict(row) for row in rows_of(runs)],
        "jobs": [asdict(run) for run in runs],
    }
    RESULT.write_text(json.dumps(shown, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _point_onwards(screen: Console, server: OwnServer, runs: Sequence[Run], *, keep: bool) -> None:
    lines = [
        f"\nThese numbers are in {RESULT.absolute()}.",
        "Your own table: counterweight serve, and in another terminal counterweight datasets upload FILE --target COLUMN",
    ]
    if keep:
        lines += [
            f"The dashboard: {server.url}/ui/",
            "All about a job, its curves too:",
            f"  curl -s {server.url}/api/v1/jobs/{runs[0].job_id}/evaluation",
            f"  COUNTERWEIGHT_URL={server.url} counterweight jobs show {runs[0].job_id}",
        ]
    else:
        lines.append("To look around in this one: make demo KEEP=1, or counterweight demo --keep, leaves the service up.")
    for line in lines:
        screen.print(line, soft_wrap=True)


def _stay(server: OwnServer, home: Path) -> None:
    """Leave the service up until Ctrl-C, which is the way this ends well."""
    exits.say(f"{server.url} stays up; its home is {home}. Ctrl-C stops it")
    try:
        server.process.wait()
    except KeyboardInterrupt:
        return
    raise DemoFailed("the service ended by itself")
