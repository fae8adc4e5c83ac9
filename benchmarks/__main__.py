"""Every benchmark in one run, and a table of ratios at its end: `python -m benchmarks`, or `--only ingest,polling`.

Ratios of one run on one machine are what counts; bare numbers are not, and none of them on a machine that does something else.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks import (
    cohort_grid,
    first_contact,
    ingest_speed,
    lists,
    metrics_speed,
    polling,
    precision_speed,
    queue_speed,
    recovery,
    study_speed,
    training_speed,
    waiters,
)
from benchmarks.figures import Figure, table

BUSY = 0.25


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        default="",
        help="comma-separated: training, cohorts, precision, study, metrics, ingest, polling, waiters, queue, recovery, lists, "
        "first_contact",
    )
    parser.add_argument("--csv-mb", type=int, default=1000, help="size of the file that is read, default %(default)s MB")
    parser.add_argument(
        "--mlflow",
        type=Path,
        default=os.environ.get("BENCH_MLFLOW"),
        help="a virtual environment with mlflow in it, to compare with (or BENCH_MLFLOW)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("BENCH_DATA"),
        help="a folder of public tables with their INDEX.json, for the study (or BENCH_DATA)",
    )
    arguments = parser.parse_args()
    benchmarks: dict[str, Callable[[], list[Figure]]] = {
        "training": training_speed.measure,
        "cohorts": cohort_grid.measure,
        "precision": precision_speed.measure,
        "study": lambda: study_speed.measure(None if arguments.data is None else Path(arguments.data)),
        "metrics": metrics_speed.measure,
        "ingest": lambda: ingest_speed.measure(arguments.csv_mb),
        "polling": lambda: polling.measure(arguments.mlflow),
        "waiters": waiters.measure,
        "queue": queue_speed.measure,
        "recovery": recovery.measure,
        "lists": lists.measure,
        "first_contact": first_contact.measure,
    }
    chosen = arguments.only.split(",") if arguments.only else list(benchmarks)
    if unknown := set(chosen) - set(benchmarks):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(benchmarks)}")
    # What others do is asked once, before we begin.
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, torch {version('torch')}, DuckDB {version('duckdb')}"
    load = psutil.cpu_percent(interval=2) / 100
    print(f"{machine}{f', BUSY WITH OTHER WORK ({load:.0%} of all cores): the figures say little' if load > BUSY else ''}")
    figures: list[Figure] = []
    for name in chosen:
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += benchmarks[name]()
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
