"""Every table in a folder of public data sets: uploaded, counted, and trained with the three losses, over HTTP.

`python -m benchmarks.quality ../shared/data` checks each table's rows and classes against the folder's INDEX.json and trains
each loss once; `--seeds 5 --only adult,sick` gives mean test average precision over split seeds. Prints a line a table and loss.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

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
        (loss["kind"], seed): server.submit(dataset["id"], loss=loss, exclude=table.exclude, split={"kind": "stratified", "seed": seed})
        for loss in losses
        for seed in range(seeds)
    }
    ended = {key: server.finish(job_id, timeout_s=1800) for key, job_id in jobs.items()}
    for loss in losses:
        _report(loss["kind"], [ended[loss["kind"], seed] for seed in range(seeds)])
    return is_exact and all(job["state"] == "succeeded" for job in ended.values())


def _report(loss: str, jobs: list[dict[str, Any]]) -> None:
    metric = "test/average_precision" if "test/average_precision" in jobs[0]["metrics"] else "test/macro_average_precision"
    values = [job["metrics"].get(metric, {}).get("value") for job in jobs]
    known = [value for value in values if value is not None]
    mean = f"{statistics.mean(known):.4f} over {len(known)} of {len(values)}" if known else "undefined"
    seconds = statistics.mean(job["usage"]["run_s"] for job in jobs)
    reasons = {job["metrics"].get(metric, {}).get("reason") for job in jobs if job["metrics"].get(metric, {}).get("value") is None}
    trouble = [job["error"]["detail"] for job in jobs if job["error"]]
    print(f"  {loss}: {metric} {mean}, {seconds:.1f} s a job {sorted(map(str, reasons)) if reasons else ''} {trouble or ''}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
