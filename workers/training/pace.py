"""How a training goes through its rows: the batches of an epoch, and the learning rate over the epochs."""

import math
from dataclasses import dataclass

from counterweight.contracts.jobs import Precision, Schedule
from workers.training.networks import padded

WARM_UP_EPOCHS = 5
"""Of the schedule `step`."""

LONG = 64
"""Rows of a batch that may differ by 16 from another and still be nearly of its size."""


@dataclass(frozen=True)
class Pace:
    """What all members of a cohort share."""

    epochs: int
    batch_size: int
    schedule: Schedule
    precision: Precision = "float32"


def batch_rows(rows: int) -> int:
    """Return how many of so many training rows a batch has where nobody chose: some fifty steps an epoch on a table of thousands."""
    return min(rows, 256, max(32, rows // 50))


def batch_ends(rows: int, most: int) -> list[int]:
    """Return where each batch of up to `most` rows ends: as few as can be, and of nearly equal size.

    A last batch of one row would be a step of pure noise. Sizes are multiples of 16 but for the last where that leaves them nearly equal.
    """
    batches = -(-rows // most)
    ends = [-(-batch * rows // batches) for batch in range(1, batches + 1)]
    is_long = rows >= LONG * batches and padded(-(-rows // batches)) <= most
    return [*map(padded, ends[:-1]), rows] if is_long else ends


def learning_rate_factor(pace: Pace, epoch: float) -> float:
    """Return the share of the learning rate in force `epoch` epochs after the start."""
    progress = epoch / pace.epochs
    if pace.schedule == "step":
        return _stepped_factor(int(epoch), pace.epochs)
    if pace.schedule == "flat_cosine":
        progress = max(0.0, 2 * progress - 1)
    if pace.schedule == "constant":
        progress = 0.0
    return (1 + math.cos(math.pi * progress)) / 2


def _stepped_factor(done: int, epochs: int) -> float:
    """Return the share after so many whole epochs: the steps of Cao et al., 2019 (arXiv:1906.07413), at 160 and 180 of 200 epochs."""
    if 10 * done >= 9 * epochs:
        return 1e-4
    if 10 * done >= 8 * epochs:
        return 1e-2
    return min(1.0, (done + 1) / WARM_UP_EPOCHS)


def first_deferred_epoch(epochs: int) -> int:
    """Return the epoch in which the last fifth begins; past the end where it is less than one epoch."""
    return -(-4 * epochs // 5) + 1
