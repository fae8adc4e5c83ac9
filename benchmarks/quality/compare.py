"""Average precision of the default recipe beside what others would use, on the binary tables of a folder of public data sets.

`python -m benchmarks.quality.compare ../shared/data` trains every table on five stratified splits: ours with all settings at their
defaults, and scikit-learn's HistGradientBoosting with balanced weights, imbalanced-learn's balanced random forest, LightGBM, XGBoost and
CatBoost with theirs, on the same rows. It prints what each comes to, won or lost. `pip install --group bench` brings the peers.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits

from benchmarks.quality import ours, peers
from benchmarks.quality.index import entries
from benchmarks.quality.ours import Outcome
from benchmarks.quality.report import OURS, Run, report
from benchmarks.quality.rows import Table, read, tree_rows

ROWS = 15_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.compare", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="comma-separated names of tables")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--rows", type=int, default=ROWS, help="of larger tables so many rows are drawn, default %(default)s")
    parser.add_argument("--settings", type=json.loads, default={}, help='JSON: settings of our jobs, such as {"learner": {"kind": "mlp"}}')
    parser.add_argument(
        "--also-validation", action="store_true", help="peers learn from the validation rows too, and not from the same rows"
    )
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a file of JSON lines that results are added to; what is in it is not run again")
    arguments = parser.parse_args()
    tables = [entry for entry in entries(arguments.folder, arguments.only) if entry.kind == "binary"]
    rivals = {} if arguments.no_peers else peers.installed()
    runs = _kept(arguments.keep)
    with tempfile.TemporaryDirectory() as home, threadpool_limits(arguments.threads):
        for entry in tables:
            table = read(entry, Path(home), arguments.rows)
            drawn = "" if table.facts.rows == table.whole_rows else f", drawn from {table.whole_rows}"
            print(f"{table.name}: {table.facts.rows} rows{drawn}", flush=True)
            for split in range(arguments.splits):
                done = {run.arm for run in runs if (run.table, run.split) == (table.name, split)}
                for run in _runs(table, split, arguments, rivals, done):
                    runs.append(run)
                    _keep(arguments.keep, run)
    named = {entry.name for entry in tables}
    print(report([run for run in runs if run.table in named and run.split < arguments.splits]))
    return 0


def _runs(table: Table, split: int, arguments: argparse.Namespace, rivals: dict[str, peers.Learn], done: set[str]) -> list[Run]:
    found = []
    if OURS not in done:
        found.append(Run(table.name, split, OURS, ours.learn(table, split, arguments.settings, arguments.threads)))
    prepared = table.prepared(split)
    rows = tree_rows(prepared, str(table.facts.positive_label))
    learnt = slice(0, sum(prepared.part_rows[: 2 if arguments.also_validation else 1]))
    for name, learn in rivals.items():
        if name not in done:
            begun = time.perf_counter()
            scores = learn(rows[learnt], rows[prepared.span("test")], split)
            seconds = time.perf_counter() - begun
            value = float(average_precision_score(rows[prepared.span("test")].labels, scores))
            found.append(Run(table.name, split, name, Outcome(value, seconds)))
    return found


def _kept(path: Path | None) -> list[Run]:
    if path is None or not path.exists():
        return []
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [Run(**{**line, "outcome": Outcome(**line["outcome"])}) for line in lines]


def _keep(path: Path | None, run: Run) -> None:
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(asdict(run)) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
