"""Megabytes a second and peak memory of reading a large table: numbers of many lengths, words, dates, missing cells, 34 columns.

The file is made for the run, read twice by a process under the very limits that the service's reader has, and removed.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.figures import Figure, at_most
from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.messages import IngestTask

ROUNDS = 2
BYTES_PER_ROW = 255
WORDS = (
    ["red", "green", "blue", "white"],
    ["new york", "london", "paris", "berlin", "tokyo", "lima", "oslo", "rome"],
    ["yes", "no"],
    ["basic", "silver", "gold"],
    ["web", "app", "branch", "phone", "post"],
)
LIMIT_MB = IngestTask.model_fields["memory_limit_mb"].default


def measure(csv_mb: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "table.csv"
        write_csv(source, csv_mb * 1_000_000 // BYTES_PER_ROW)
        size = source.stat().st_size / 1e6
        runs = [_read(source, Path(folder) / f"out{round_}") for round_ in range(ROUNDS)]
    seconds, cpu_s = min(runs, key=lambda run: run[0])[:2]
    memory = max(run[2] for run in runs)
    rate, per_cpu_s = size / seconds, size / cpu_s
    return [
        Figure(f"reading a CSV of {size:.0f} MB", f"{rate:.0f} MB/s ({per_cpu_s:.0f} MB a CPU second)", "limit 60 MB/s", rate / 60),
        at_most("its peak of resident memory", memory, LIMIT_MB * 1.048576, "MB"),
    ]


def write_csv(path: Path, rows: int) -> None:
    """Write a table of made-up rows, the same each time."""
    with duckdb.connect(":memory:") as database:
        database.execute(f"COPY (SELECT {', '.join(_columns())} FROM range({rows}) AS t(i)) TO '{path}' (FORMAT csv, HEADER)")


def _columns() -> list[str]:
    def uniform(column: int) -> str:
        return f"(hash(i * 128 + {column}) % 1000003 / 1000003.0)"

    def with_gaps(value: str, column: int, share: float, gap: str = "NULL") -> str:
        return f"CASE WHEN {uniform(column + 64)} < {share} THEN {gap} ELSE {value} END"

    amounts = [
        with_gaps(f"round({10 ** (at % 4)} * ln({uniform(at)} + 1e-6), {(2, 4, 6, 3)[at % 4]})", at, (0, 0.05, 0, 0.2)[at % 4])
        + f" AS amount_{at}"
        for at in range(14)
    ]
    scores = [f"round({uniform(20 + at)} * 2 - 1, 8) AS score_{at}" for at in range(6)]
    counts = [
        with_gaps(f"({uniform(30 + at)} * {most})::BIGINT::VARCHAR", 30 + at, 0.03 * (at % 2), "'NA'") + f" AS count_{at}"
        for at, most in enumerate((10, 100, 1000, 70_000, 5, 1_000_000))
    ]
    words = [
        with_gaps(f"{found}[1 + (hash(i * 128 + {at + 40}) % {len(found)})::INTEGER]", 40 + at, 0.02) for at, found in enumerate(WORDS)
    ]
    return [
        *amounts,
        *scores,
        *counts,
        *(f"{word} AS kind_{at}" for at, word in enumerate(words)),
        "'shop ' || hash(i * 128 + 50) % 5000 AS shop",
        "(DATE '2024-01-01' + (hash(i * 128 + 51) % 700)::INTEGER)::VARCHAR AS day",
        f"CASE WHEN {uniform(52)} < 0.02 THEN 'fraud' ELSE 'fine' END AS label",
    ]


def _read(source: Path, folder: Path) -> tuple[float, float, float]:
    """Read the table in a process of its own; return the seconds and the CPU seconds it took, and its peak memory in MB."""
    task = IngestTask(source=str(source), folder=str(folder), options=DatasetOptions(target="label"), threads=2)
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest_speed"], input=task.model_dump_json(), capture_output=True, text=True, check=True
    )
    seconds, cpu_s, memory = json.loads(answer.stdout)
    return seconds, cpu_s, memory


def main() -> None:
    """Do the task on standard input as the service's reader would; print what `_read` returns."""
    import resource  # noqa: PLC0415

    from workers.ingest import limits, reader  # noqa: PLC0415
    from workers.ingest_child import CPU_S, LARGEST_FILE_BYTES  # noqa: PLC0415

    task = IngestTask.model_validate_json(sys.stdin.read())
    limits.apply(memory_limit_mb=task.memory_limit_mb, cpu_seconds=CPU_S, largest_file_bytes=LARGEST_FILE_BYTES)
    started = time.perf_counter()
    answer = reader.ingest(task)
    assert answer.kind == "ingested", answer
    seconds, cpu_s = time.perf_counter() - started, time.process_time()
    print(json.dumps([seconds, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6]))


if __name__ == "__main__":
    main()
