"""Studies whose truth is known: arms that are the same function must seldom get a winner, a worse one must mostly be found.

`python -m benchmarks.planted_studies` draws 100 tables of 4,000 rows from one population (12% positive), divides each anew, and trains
small networks of each arm through the service's own trainer. Their stored predictions are then compared as a worker compares them, with
five seeds an arm:

- the same loss under two names, each with seeds of its own: all that sets the arms apart is chance;
- the same under two names and with the same seeds: nothing sets them apart;
- the same under four names, each with seeds of its own: six pairs to be taken in by;
- cross-entropy beside itself at a learning rate that is too small.

Seeds and splits are fixed: the counts repeat to the last digit. `--repeats 20` is a quick look.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from counterweight.contracts.artifacts import PREDICTIONS_FILE
from counterweight.contracts.losses import LOSS_KINDS
from counterweight.contracts.messages import Compared, ComparisonTask, StudyRun, Succeeded
from counterweight.contracts.studies import Arm, Verdict
from tests.training.tables import make_task
from workers import comparison
from workers.training import trainer

ROWS = 4000
SHARE = 0.12
SEEDS = 5
LEARNER = {"kind": "mlp", "width": 16, "depth": 1, "numeric_embedding": "none"}
TRAINING = {"max_epochs": 12, "batch_size": 128, "learning_rate": 0.01, "early_stopping": None}
TOO_SMALL = 0.0005
"""A learning rate with which twelve epochs are too few: its average precision is lower by about 0.1."""

SPLIT = {"kind": "stratified", "validation": 0.15, "test": 0.4}

SAME: tuple[dict[str, Any], ...] = (
    {"kind": "cross_entropy"},
    {"kind": "focal", "gamma": 0.0},
    {"kind": "poly", "epsilon": 0.0},
    {"kind": "logit_adjusted", "tau": 0.0},
)
"""One function under four names."""

Kind: TypeAlias = tuple[dict[str, Any], list[int], dict[str, Any]]
"""What an arm is made of: its loss, its seeds, and the settings that are not those of all."""

MOST_FALSE = 10
FEWEST_FOUND = 90
"""Of 100 repeats."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    began = time.monotonic()
    with ProcessPoolExecutor(arguments.processes) as pool:
        outcomes = list(pool.map(repeat, range(arguments.repeats)))
    found = tally(outcomes)
    print(f"{arguments.repeats} repeats in {time.monotonic() - began:.0f} s, {SEEDS} seeds an arm, {ROWS:,} rows of which two fifths test")
    for name, count in found.items():
        print(f"{name:<28} {', '.join(f'{outcome} {times}' for outcome, times in sorted(count.items()))}")
    return 0 if holds(found, arguments.repeats) else 1


def tally(outcomes: Sequence[Mapping[str, str]]) -> dict[str, Counter[str]]:
    """Return, for each planted study, how often it ended how."""
    return {name: Counter(outcome[name] for outcome in outcomes) for name in outcomes[0]}


def holds(found: Mapping[str, Mapping[str, int]], repeats: int) -> bool:
    """Whether false winners are few enough, and true ones many enough."""
    false = [count.get("winner", 0) for name, count in found.items() if name != "one worse"]
    return max(false) <= MOST_FALSE * repeats / 100 and found["one worse"].get("found", 0) >= FEWEST_FOUND * repeats / 100


def repeat(number: int) -> dict[str, str]:
    """Draw a table, divide it, train every arm, and return how each study ends."""
    with tempfile.TemporaryDirectory() as folder:
        apart = [[100 * place + seed for seed in range(SEEDS)] for place in range(len(SAME))]
        arms: dict[str, Kind] = {f"{loss['kind']}, seeds of its own": (loss, seeds, {}) for loss, seeds in zip(SAME, apart, strict=True)}
        arms["the same seeds"] = (SAME[1], apart[0], {})
        arms["hardly trained"] = (SAME[0], apart[0], {"learning_rate": TOO_SMALL})
        predictions = _train(number, Path(folder), arms)
        first, second, *others = list(arms)[: len(SAME)]
        studies = {
            "same function, own seeds": [first, second],
            "same function, same seeds": [first, "the same seeds"],
            "same function, four arms": [first, second, *others],
            "one worse": [first, "hardly trained"],
        }
        verdicts = {name: _compare(arms, predictions, names) for name, names in studies.items()}
        return {name: "found" if verdict.winner == first and name == "one worse" else verdict.outcome for name, verdict in verdicts.items()}


def _train(number: int, folder: Path, arms: Mapping[str, Kind]) -> dict[str, list[str]]:
    """Train all runs of all arms together; return where each arm's predictions lie."""
    specs = [
        {
            "loss": loss,
            "learner": LEARNER,
            "training": {**TRAINING, **settings, "seed": seed},
            "split": {**SPLIT, "seed": number},
        }
        for loss, seeds, settings in arms.values()
        for seed in seeds
    ]
    task = make_task(folder, specs, _table(number))
    ended = {message.job_id for message in trainer.run(task, lambda _job_id: False) if isinstance(message, Succeeded)}
    if len(ended) < len(specs):
        raise RuntimeError(f"of {len(specs)} runs {len(ended)} succeeded")
    paths = [str(Path(member.folder) / PREDICTIONS_FILE) for member in task.members]
    return {name: paths[SEEDS * place : SEEDS * (place + 1)] for place, name in enumerate(arms)}


def _compare(arms: Mapping[str, Kind], predictions: Mapping[str, list[str]], names: Sequence[str]) -> Verdict:
    """Compare as a worker does."""
    task = ComparisonTask(
        metric="average_precision",
        goal="max",
        minimum_difference=0.01,
        classes=["no", "yes"],
        positive=1,
        rarest=1,
        folds=None,
        arms=[Arm(arm=name, loss=LOSS_KINDS[arms[name][0]["kind"]].model_validate(arms[name][0])) for name in names],
        job_ids=[[] for _ in names],
        runs=[
            StudyRun(arm=arm, place=place, predictions=path, ece=None)
            for arm, name in enumerate(names)
            for place, path in enumerate(predictions[name])
        ],
    )
    answer = comparison.run(task)
    assert isinstance(answer, Compared), answer
    assert answer.results.verdict is not None
    return answer.results.verdict


def _table(number: int) -> dict[str, list[Any]]:
    """Draw rows in which two columns tell of the event alone and two only together."""
    source = np.random.default_rng([2026, number])
    columns = source.normal(size=(5, ROWS))
    odds = 1.2 * columns[0] - 0.6 * columns[1] + 1.2 * columns[2] * columns[3]
    # The rate is the population's: how many positives there are is chance too.
    is_event = source.random(ROWS) < 1 / (1 + np.exp(-(odds - 3.1)))
    return {name: column.tolist() for name, column in zip("abcde", columns, strict=True)} | {
        "event": ["yes" if event else "no" for event in is_event]
    }


if __name__ == "__main__":
    sys.exit(main())
