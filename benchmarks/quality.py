"""Every table in a folder of public data sets: uploaded, counted, and trained with the three losses, over HTTP.

`python -m benchmarks.quality ../shared/data` checks each table's rows and classes against the folder's INDEX.json and trains
each loss once; `--seeds 5 --only adult,sick` gives mean test average precision over split seeds. Prints a line a table and loss.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from tests.server import Server

LOSSES: list[dict[str, Any]] = [{"kind": "cross_entropy"}, {"kind": "balanced_cross_entropy"}, {"kind": "focal"}]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--losses", default="cross_entropy,balanced_cross_entropy,focal")
    arguments = parser.parse_args()
    tables = [table for table in json.loads((arguments.folder / "INDEX.json").read_text())["datasets"] if table["kind"] != "image"]
    wanted = set(arguments.only.split(",")) - {""}
    losses = [loss for loss in LOSSES if loss["kind"] in arguments.losses.split(",")]
    with tempfile.TemporaryDirectory() as home, Server(Path(home) / "home") as server:
        fine = [
            _check(server, arguments.folder, table, losses, arguments.seeds) for table in tables if not wanted or table["name"] in wanted
        ]
    return 0 if all(fine) else 1


def _check(server: Server, folder: Path, table: dict[str, Any], losses: list[dict[str, Any]], seeds: int) -> bool:
    """Upload one table and train it; say what came of it, and whether all is as the index says."""
    dataset = _upload(server, folder, table)
    counts = {found["label"]: found["count"] for found in dataset["classes"]}
    is_exact = dataset["rows"] == table["rows"] and counts == table["class_counts"]
    print(f"{table['name']}: {dataset['rows']} rows, classes {'as the index says' if is_exact else f'{counts} NOT {table}'}", flush=True)
    jobs = {
        (loss["kind"], seed): server.submit(
            dataset["id"], loss=loss, exclude=table["id_or_leaky_columns"], split={"kind": "stratified", "seed": seed}
        )
        for loss in losses
        for seed in range(seeds)
    }
    ended = {key: server.finish(job_id, timeout_s=1800) for key, job_id in jobs.items()}
    for loss in losses:
        _report(loss["kind"], [ended[loss["kind"], seed] for seed in range(seeds)])
    return is_exact and all(job["state"] == "succeeded" for job in ended.values())


def _upload(server: Server, folder: Path, table: dict[str, Any]) -> dict[str, Any]:
    """Upload with exactly the options the index gives."""
    file = folder / (table["derived_file"] or table["file"])
    options: dict[str, Any] = {"target": table["target"]}
    if table["positive_class"] is not None:
        options["positive_label"] = table["positive_class"]
    if file.suffix != ".parquet":
        options |= {"delimiter": table["delimiter"], "decimal": table["decimal"], "header": table["header"], "encoding": table["encoding"]}
    dataset_id = server.upload(file.read_bytes(), **options)
    return server.read(f"/datasets/{dataset_id}")


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
