"""How long a study of 8 losses times 5 seeds on *adult* takes over HTTP: trained in cohorts, one by one, and in a loop of skorch.

Each turn starts a service on a home of its own, lets it train a small job, so that it is as warm as one that has been up for a while, and
measures from `POST /studies` to the verdict: dividing and encoding the table anew, 40 trainings of a network 128-128 for ten epochs in
batches of 256, their evaluations, models and predictions, and the comparison. One by one is the same service with
`COUNTERWEIGHT_MAX_COHORT=1`, which keeps both cores busy with a job each.

The loop of skorch has the same encoded rows, network, batches and epochs, with both cores for one training at a time: a user's script,
which after each epoch takes the loss of the validation rows and at last scores the test rows, and makes no intervals, models or files. It
trains with cross-entropy, the cheapest loss, and so many of the 40 that the rest can be reckoned from them.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from sklearn.metrics import average_precision_score
from skorch import NeuralNetBinaryClassifier
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

from benchmarks.figures import Figure, at_most
from benchmarks.quality.index import entries
from benchmarks.quality.rows import read
from tests.server import Server
from workers.training.prepared import Prepared

LOSSES: list[dict[str, Any]] = [
    {"kind": "cross_entropy"},
    {"kind": "cross_entropy", "label_smoothing": 0.1},
    {"kind": "balanced_cross_entropy"},
    {"kind": "balanced_cross_entropy", "weights": "sqrt_inverse_frequency"},
    {"kind": "focal"},
    {"kind": "focal", "alpha": "balanced"},
    {"kind": "logit_adjusted"},
    {"kind": "poly"},
]
SEEDS = [0, 1, 2, 3, 4]
WIDTH, BATCH, EPOCHS, LEARNING_RATE, WEIGHT_DECAY = 128, 256, 10, 3e-3, 1e-4
RUNS = len(LOSSES) * len(SEEDS)
ROUNDS = 3
SKORCH_RUNS = 3
"""In each round."""
THREADS = 2
STUDY_S = 900


@dataclass(frozen=True)
class Took:
    """Seconds of the clock and of all processors, and the mean of each loss on the leaderboard."""

    wall_s: float
    cpu_s: float
    means: dict[str, float]


def measure(data: Path | None) -> list[Figure]:
    """Measure the study on the table `adult` of the folder of public data sets `data`."""
    if data is None or not (data / "adult").is_dir():
        absent = "adult absent (give --data or BENCH_DATA: a folder with adult/ and INDEX.json in it)"
        return [Figure("a study of 40 runs", "–", absent, None, 2.5)]
    (entry,) = entries(data, "adult")
    stacked: list[Took] = []
    alone: list[Took] = []
    skorch: list[Took] = []
    with tempfile.TemporaryDirectory() as folder:
        prepared = read(entry, Path(folder), most_rows=10**9).prepared(split=0)
        for turn in range(ROUNDS):
            upload = entry.file.read_bytes(), entry.options
            stacked.append(_study(Path(folder) / f"stacked{turn}", *upload))
            alone.append(_study(Path(folder) / f"alone{turn}", *upload, max_cohort="1"))
            skorch.append(_skorch_loop(prepared, seeds=range(SKORCH_RUNS * turn, SKORCH_RUNS * (turn + 1))))
    off = max(abs(stacked[0].means[arm] - mean) for arm, mean in alone[0].means.items())
    ours, theirs, loop = (_median(arm, lambda took: took.wall_s) for arm in (stacked, alone, skorch))
    ours_cpu, theirs_cpu = (_median(arm, lambda took: took.cpu_s) for arm in (stacked, alone))
    reckoned = f"skorch {loop:.0f} s, from {SKORCH_RUNS * ROUNDS} of {RUNS}"
    return [
        Figure(f"a study of {RUNS} runs over HTTP", f"{ours:.1f} s", f"one by one {theirs:.1f} s", theirs / ours, 2.5),
        Figure("its processor time", f"{ours_cpu:.1f} s", f"one by one {theirs_cpu:.1f} s", theirs_cpu / ours_cpu, 2.5),
        Figure(f"a study of {RUNS} runs over HTTP", f"{ours:.1f} s", reckoned, loop / ours, 6.0),
        at_most("largest difference of a loss's mean between the two", off, 0.003, ""),
    ]


def _median(arm: list[Took], value: Callable[[Took], float]) -> float:
    return statistics.median(map(value, arm))


def _study(home: Path, table: bytes, options: dict[str, Any], **settings: str) -> Took:
    with Server(home, **settings) as server:
        dataset_id = server.upload(table, **options)
        server.finish(
            server.submit(dataset_id, learner={"kind": "linear"}, split={"kind": "stratified", "seed": 1}, training={"max_epochs": 1})
        )
        base = {
            "dataset_id": dataset_id,
            "learner": {"kind": "mlp", "width": WIDTH, "depth": 2, "numeric_embedding": "none"},
            "training": {
                "max_epochs": EPOCHS,
                "batch_size": BATCH,
                "learning_rate": LEARNING_RATE,
                "weight_decay": WEIGHT_DECAY,
                "early_stopping": None,
            },
        }
        before, started = _cpu_seconds(server), time.monotonic()
        answer = server.client.post("/studies", json={"base": base, "losses": LOSSES, "seeds": SEEDS})
        assert answer.status_code == 201, answer.text
        study = server.wait(f"/studies/{answer.json()['id']}", lambda body: body["is_terminal"], STUDY_S)
        wall_s, cpu_s = time.monotonic() - started, _cpu_seconds(server) - before
    assert study["counts"] == {"succeeded": RUNS}, study["counts"]
    return Took(wall_s, cpu_s, {json.dumps(row["loss"]): row["mean"] for row in study["leaderboard"]})


def _cpu_seconds(server: Server) -> float:
    """Return what all processes of the server have used, those that have ended included."""
    assert server.process is not None
    top = psutil.Process(server.process.pid)
    return sum(sum(each.cpu_times()[:4]) for each in (top, *top.children(recursive=True)))


def _skorch_loop(prepared: Prepared, seeds: range) -> Took:
    """Train one network for each seed; return what all runs of the study would have taken at this pace."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    started, cpu = time.monotonic(), time.process_time()
    try:
        scores = [_skorch_run(prepared, seed) for seed in seeds]
    finally:
        torch.set_num_threads(before)
    share = RUNS / len(seeds)
    return Took(share * (time.monotonic() - started), share * (time.process_time() - cpu), {"skorch": statistics.fmean(scores)})


def _skorch_run(prepared: Prepared, seed: int) -> float:
    """Return the average precision of one network's scores of the test rows."""
    torch.manual_seed(seed)
    features, labels = prepared.features.numpy(), prepared.labels.numpy().astype(np.float32)
    train, validation, test = (prepared.span(part) for part in ("train", "validation", "test"))
    network = nn.Sequential(
        nn.Linear(features.shape[1], WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1), nn.Flatten(0)
    )
    settings: dict[str, Any] = {"batch_size": BATCH, "lr": LEARNING_RATE, "optimizer__weight_decay": WEIGHT_DECAY, "verbose": 0}
    model = NeuralNetBinaryClassifier(
        network,
        max_epochs=EPOCHS,
        optimizer=torch.optim.AdamW,
        train_split=predefined_split(Dataset(features[validation], labels[validation])),
        iterator_train__shuffle=True,
        **settings,
    )
    model.fit(features[train], labels[train])
    return float(average_precision_score(labels[test], model.predict_proba(features[test])[:, 1]))
