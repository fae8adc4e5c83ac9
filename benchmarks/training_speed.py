"""Rows a second of one network's training: our loop beside the loop of PyTorch's tutorials and beside skorch, epoch by epoch in turn.

The network is 30-256-256-1 (ours has an output for each of the two classes), the batch 1,024, the rows 60,000. Ours does all that it
always does: clipping, a moving average of the weights, validation. It is multiplied in float32 as the others are, and where a job that
names no precision would get another, in that too.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from skorch import NeuralNetBinaryClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.figures import Figure
from counterweight.contracts.jobs import Precision
from counterweight.contracts.loss_resolution import initial_logits
from counterweight.contracts.losses import CrossEntropy
from counterweight.contracts.terms import ClassCounts
from workers.training import products
from workers.training.happenings import Epoch
from workers.training.loop import train
from workers.training.mlp import MlpNetwork
from workers.training.pace import Pace
from workers.training.population import Plan
from workers.training.precision import precision_of
from workers.training.rows import Rows

ROWS, FEATURES, WIDTH, BATCH = 60_000, 30, 256, 1024
FEWEST_ROUNDS, ROUNDS, ENOUGH_S = 3, 7, 90
THREADS = 2


def measure() -> list[Figure]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        precisions = list(dict.fromkeys(("float32", precision_of("auto", torch.device("cpu"), BATCH))))
        loader, skorch, *ours = _medians([_loader_epochs(), _skorch_epochs(), *map(_our_epochs, precisions)])
    finally:
        torch.set_num_threads(before)
    return [
        Figure(f"training in {precision}, rows/s", _rows_per_s(seconds), f"{peer} {_rows_per_s(other)}", other / seconds, wanted)
        for precision, seconds in zip(precisions, ours, strict=True)
        for peer, other, wanted in (("DataLoader loop", loader, 2.0), ("skorch", skorch, 2.2))
    ]


def _medians(arms: list[Iterator[None]]) -> list[float]:
    """Return the median seconds of an epoch of each arm; they take turns, and their first epochs do not count."""
    seconds: list[list[float]] = [[] for _ in arms]
    begun = time.monotonic()
    for round_ in range(ROUNDS + 1):
        if round_ > FEWEST_ROUNDS and time.monotonic() - begun > ENOUGH_S:
            break
        for arm, taken in zip(arms, seconds, strict=True):
            started = time.perf_counter()
            next(arm)
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken[1:]) for taken in seconds]


def _rows_per_s(seconds: float) -> str:
    return f"{ROWS / seconds / 1000:.0f}k"


def _rows(count: int, seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(count, generator=generator) < 0.05).long()
    return Rows(torch.randn(count, FEATURES, generator=generator) + 0.5 * labels[:, None], labels)


def _our_epochs(precision: Precision) -> Iterator[None]:
    training = _rows(ROWS, seed=0)
    counts = ClassCounts(("no", "yes"), tuple(torch.bincount(training.labels).tolist()), positive=1)
    loss = CrossEntropy()
    plan = Plan(
        terms=loss.terms(counts),
        bias=tuple(initial_logits(loss, counts)),
        learning_rate=1e-3,
        weight_decay=1e-4,
        ema=0.99,
        seed=0,
        stopping=None,
        positive=1,
    )
    network = MlpNetwork(inputs=FEATURES, classes=2, hidden=(WIDTH, WIDTH))
    pace = Pace(epochs=1000, batch_size=BATCH, schedule="flat_cosine", precision=precision)
    events = train(network, [plan], pace, training, _rows(2000, seed=1), lambda _: False)
    while True:
        # The setting is the whole process's, and the others' is torch's own.
        usual = products.ONEDNN.fp32_precision
        products.use_widest_products()
        assert isinstance(next(events), Epoch)
        products.ONEDNN.fp32_precision = usual
        yield


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 1))


def _loader_epochs() -> Iterator[None]:
    training = _rows(ROWS, seed=0)
    loader = DataLoader(TensorDataset(training.features, training.labels.float()), batch_size=BATCH, shuffle=True)
    network, loss = _network(), nn.BCEWithLogitsLoss()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4)
    while True:
        for features, labels in loader:
            optimiser.zero_grad()
            loss(network(features).squeeze(1), labels).backward()
            optimiser.step()
        yield


def _skorch_epochs() -> Iterator[None]:
    training = _rows(ROWS, seed=0)
    features, labels = training.features.numpy(), training.labels.float().numpy()
    settings: dict[str, Any] = {"max_epochs": 1, "batch_size": BATCH, "lr": 1e-3, "optimizer__weight_decay": 1e-4, "verbose": 0}
    model = NeuralNetBinaryClassifier(
        _network(), optimizer=torch.optim.AdamW, train_split=None, iterator_train__shuffle=True, **settings
    ).initialize()
    epoch: Callable[..., object] = model.partial_fit
    while True:
        epoch(features, labels)
        yield
