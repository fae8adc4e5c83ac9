"""Every table in a folder of public data sets: uploaded, counted, and trained with the three losses, over HTTP.

`python -m benchmarks.quality ../shared/data` checks each table's rows and classes against the folder's INDEX.json and trains each loss
once, with the learner that a job takes which names none; `--seeds 5 --only adult,stroke` gives means over split seeds. Prints a line a
table and loss, of the test rows: average precision, log-loss and calibration error before and after calibration, and how the log-loss
after it stands beside cross-entropy's.
"""

import argparse
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.quality.index import Entry, entries
from tests.server import Server

LOSSES: list[dict[str, Any]] = [{"kind": "cross_entropy"}, {"kind": "balanced_cross_entropy"}, {"kind": "focal"}]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--losses", default="cross_entropy,balanced_cross_entropy,focal")
    arguments = parser.parse_args()
    tables = entries(arguments.folder, arguments.only)
    losses = [loss for loss in LOSSES if loss["kind"] in arguments.losses.split(",")]
    with tempfile.TemporaryDirectory() as home, Server(Path(home) / "home") as server:
        fine = [_check(server, table, losses, arguments.seeds) for table in tables]
    return 0 if all(fine) else 1


def _check(server: Server, table: Entry, losses: list[dict[str, Any]], seeds: int) -> bool:
    """Upload one table, read as the index says, and train it; say what came of it, and whether all is as the index says."""
    dataset = server.read(f"/datasets/{server.upload(table.file.read_bytes(), **table.options)}")
    counts = {found["label"]: found["count"] for found in dataset["classes"]}
    is_exact = dataset["rows"] == table.rows and counts == table.class_counts
    print(f"{table.name}: {dataset['rows']} rows, classes {'as the index says' if is_exact else f'{counts} NOT {table}'}", flush=True)
    jobs = {
        (loss["kind"], seed): server.submit(
            dataset["id"], loss=loss, exclude=table.exclude, split={"kind": "stratified", "seed": seed}, learner={"kind": "auto"}
        )
        for loss in losses
        for seed in range(seeds)
    }
    ended = {key: server.finish(job_id, timeout_s=1800) for key, job_id in jobs.items()}
    log_losses: dict[str, float] = {}
    for loss in losses:
        own = [ended[loss["kind"], seed] for seed in range(seeds)]
        judged = [server.read(f"/jobs/{job['id']}/evaluation") for job in own if job["state"] == "succeeded"]
        told = _Calibrated.of(judged) if judged else None
        if told is not None:
            log_losses[loss["kind"]] = told.log_loss
        _report(loss["kind"], own, told, log_losses.get("cross_entropy"))
    return is_exact and all(job["state"] == "succeeded" for job in ended.values())


@dataclass(frozen=True)
class _Calibrated:
    """Means over jobs, of the test rows: of the network's own probabilities, and of those that were chosen on validation rows."""

    raw_log_loss: float
    log_loss: float
    raw_ece: float
    ece: float

    @classmethod
    def of(cls, evaluations: list[dict[str, Any]]) -> Self:
        raw = [next(way["test"] for way in one["calibration"]["candidates"] if way["kind"] == "raw") for one in evaluations]
        chosen = [{name: metric["value"] for name, metric in one["splits"]["test"]["metrics"].items()} for one in evaluations]
        return cls(*(statistics.mean(figures[name] for figures in way) for name in ("log_loss", "ece") for way in (raw, chosen)))


def _report(loss: str, jobs: list[dict[str, Any]], told: _Calibrated | None, beside: float | None) -> None:
    metric = "test/average_precision" if "test/average_precision" in jobs[0]["metrics"] else "test/macro_average_precision"
    values = [job["metrics"].get(metric, {}).get("value") for job in jobs]
    known = [value for value in values if value is not None]
    mean = f"{statistics.mean(known):.4f} over {len(known)} of {len(values)}" if known else "undefined"
    seconds = statistics.mean(job["usage"]["run_s"] for job in jobs)
    print(f"  {loss} ({jobs[0]['spec']['learner']['kind']}): {metric} {mean}, {seconds:.1f} s a job", flush=True)
    if told is not None:
        ratio = "" if beside is None or loss == "cross_entropy" else f" ({told.log_loss / beside - 1:+.1%} beside cross_entropy)"
        print(f"    log-loss {told.raw_log_loss:.4f} -> {told.log_loss:.4f}{ratio}, ECE {told.raw_ece:.4f} -> {told.ece:.4f}", flush=True)
    for job in jobs:
        reason = job["metrics"].get(metric, {}).get("reason")
        if job["error"] or (reason and job["metrics"][metric]["value"] is None):
            print(f"    seed {job['spec']['split']['seed']}: {job['error']['detail'] if job['error'] else reason}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
