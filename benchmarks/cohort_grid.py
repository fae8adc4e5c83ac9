"""How much faster K networks train in one stack than one after another, by their width and batch, and what the service's packs make of it.

`python -m benchmarks.cohort_grid` takes two hidden layers over 112 inputs, 20,480 rows, on one thread, as a processor's slot has. Both arms
are `train` itself, with clipping, averages and eight members to a seed as a study of eight losses has; validation is left out, for it costs
each member the same. They take turns, and the ratio is that of their medians. `--full` takes all sizes and not only the packs.
"""

import argparse
import itertools
import os
import statistics
import time
from dataclasses import dataclass

import torch

from benchmarks.figures import Figure, table
from counterweight.contracts.jobs import Precision
from counterweight.contracts.loss_resolution import initial_logits
from counterweight.contracts.losses import AnyLoss, BalancedCrossEntropy, CrossEntropy, Focal, LogitAdjusted
from counterweight.contracts.terms import ClassCounts
from service.domain.cohorts import best_on_cpu
from workers.training.happenings import Epoch
from workers.training.loop import train
from workers.training.mlp import MlpNetwork
from workers.training.pace import Pace
from workers.training.population import Plan
from workers.training.precision import precision_of
from workers.training.products import use_widest_products
from workers.training.rows import Rows

ROWS, INPUTS = 20_480, 112
WIDTHS, BATCHES, SIZES = (64, 128, 256), (256, 1024), (2, 4, 8, 16, 32)
LOSSES: tuple[AnyLoss, ...] = (CrossEntropy(), Focal(), BalancedCrossEntropy(), LogitAdjusted())
SEEDS = 5
ROUNDS = 3
FLOOR = 0.95
"""A pack that the service chooses is never to be slower than this."""


@dataclass(frozen=True)
class Cell:
    """A shape of network and batch, how many train together, and in which numbers they are multiplied (None: as the service would)."""

    width: int
    batch: int
    members: int
    precision: Precision | None = None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cohort_grid", description=__doc__)
    parser.add_argument("--full", action="store_true", help="all sizes of packs")
    parser.add_argument("--threads", type=int, default=1, help="of the one process; default %(default)s")
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores, {arguments.threads} thread(s)")
    print(table(measure(arguments.threads, SIZES if arguments.full else ())))


def measure(threads: int = 1, sizes: tuple[int, ...] = ()) -> list[Figure]:
    """Measure the pack that the service would take of each width and batch, and other sizes."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    use_widest_products()
    try:
        return [figure for shape in itertools.product(WIDTHS, BATCHES) for figure in _of_shape(*shape, sizes)]
    finally:
        torch.set_num_threads(before)


def _of_shape(width: int, batch: int, sizes: tuple[int, ...]) -> list[Figure]:
    chosen = best_on_cpu(batch, width)
    alone, *packs = in_turn([Cell(width, batch, members) for members in (1, *sorted({chosen, *sizes}))])
    figures = []
    for cell, seconds in packs:
        ratio = cell.members * alone[1] / seconds
        what = f"{cell.members} networks {width} wide, batch {batch}{', the pack' if cell.members == chosen else ''}"
        wanted = FLOOR if cell.members == chosen else 0.0
        figures.append(Figure(what, rows_per_s(cell, seconds), f"one by one {rows_per_s(*alone)}", ratio, wanted))
    return figures


def rows_per_s(cell: Cell, seconds: float) -> str:
    return f"{cell.members * ROWS / seconds / 1000:.0f}k rows/s"


def in_turn(cells: list[Cell]) -> list[tuple[Cell, float]]:
    """Return the median seconds of an epoch of each cell; they take turns, and their first epochs do not count."""
    arms = [Epochs(cell, torch.device("cpu")) for cell in cells]
    taken: list[list[float]] = [[] for _ in cells]
    for _ in range(ROUNDS + 1):
        for arm, seconds in zip(arms, taken, strict=True):
            started = time.perf_counter()
            arm.one()
            seconds.append(time.perf_counter() - started)
    return [(cell, statistics.median(seconds[1:])) for cell, seconds in zip(cells, taken, strict=True)]


class Epochs:
    """The members of a cell in training, on a device."""

    def __init__(self, cell: Cell, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        labels = (torch.rand(ROWS, generator=generator) < 0.2).long()
        features = torch.randn(ROWS, INPUTS, generator=generator) + 0.2 * labels[:, None]
        counts = ClassCounts(("no", "yes"), tuple(torch.bincount(labels).tolist()), positive=1)
        self._members = [_plan(LOSSES[member % len(LOSSES)], counts, member // 8 % SEEDS) for member in range(cell.members)]
        network = MlpNetwork(inputs=INPUTS, classes=2, hidden=(cell.width, cell.width))
        precision = cell.precision or precision_of("auto", device, cell.batch)
        pace = Pace(epochs=1000, batch_size=cell.batch, schedule="flat_cosine", precision=precision)
        self._events = train(network, self._members, pace, Rows(features.to(device), labels.to(device)), None, lambda _: False)

    def one(self) -> None:
        """Train all members for one epoch."""
        for _ in self._members:
            assert isinstance(next(self._events), Epoch)


def _plan(loss: AnyLoss, counts: ClassCounts, seed: int) -> Plan:
    return Plan(
        terms=loss.terms(counts),
        bias=tuple(initial_logits(loss, counts)),
        learning_rate=1e-3,
        weight_decay=1e-4,
        ema=0.99,
        seed=seed,
        stopping=None,
        positive=1,
    )


if __name__ == "__main__":
    main()
