"""What to add to the log-probabilities of several classes before the likeliest is called, so that a metric of the decisions is greatest.

One class's offset is moved at a time, through all values at which a row changes sides, until none gains. The largest class keeps 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Goal: TypeAlias = Literal["macro_f1", "mcc", "balanced_accuracy"]

MOST_ROUNDS = 3
SAME = 1e-12
"""Worths no farther apart are the same but for rounding."""

TIED = 1e-9
"""Rows that change sides at offsets no farther apart change together: rounding alone would tell them apart, and differently each time."""


@dataclass(frozen=True)
class _Worth:
    """A metric as a function of sums over classes: `parts` (M, ...) of hits, calls and rows of a class, `whole` of their sums (M, ...).

    So that moving one row from class to class changes two terms, and a walk over all rows costs no more than sorting them.
    """

    parts: Callable[[Floats, Floats, Floats], Floats]
    whole: Callable[[Floats, Floats], Floats]


def _mcc(sums: Floats, true: Floats) -> Floats:
    hits, chance, called_squared = sums
    rows = true.sum()
    spread = (rows**2 - called_squared) * (rows**2 - (true**2).sum())
    return np.asarray(np.divide(hits * rows - chance, np.sqrt(spread), out=np.zeros_like(spread), where=spread > 0))


_WORTHS: dict[Goal, _Worth] = {
    "macro_f1": _Worth(lambda hits, called, true: (2 * hits / (called + true))[None], lambda sums, true: sums[0] / len(true)),
    "balanced_accuracy": _Worth(lambda hits, _, true: (hits / true)[None], lambda sums, true: sums[0] / len(true)),
    "mcc": _Worth(lambda hits, called, true: np.stack([hits, called * true, called**2]), _mcc),
}


def worth_of(goal: Goal, labels: Ints, called: Ints, classes: int) -> float:
    """Return the metric of decisions on rows of which each class has some."""
    hits, calls, true = (np.bincount(each, minlength=classes).astype(np.float64) for each in (labels[labels == called], called, labels))
    worth = _WORTHS[goal]
    return float(worth.whole(worth.parts(hits, calls, true).sum(axis=-1), true))


def best_offsets(log_p: Floats, labels: Ints, goal: Goal) -> Floats:
    """Return the offsets (C,) found for log-probabilities (N, C) of rows of which each class has some."""
    true = np.bincount(labels, minlength=log_p.shape[1]).astype(np.float64)
    offsets, scores = np.zeros(log_p.shape[1]), log_p.copy()
    free = np.argsort(true, kind="stable")[:-1]
    for _ in range(MOST_ROUNDS):
        before = offsets.copy()
        for index in free:
            scores[:, index] = -np.inf
            rival = scores.argmax(axis=1)
            turns = scores[np.arange(len(labels)), rival] - log_p[:, index]
            least = worth_of(goal, labels, (log_p + offsets).argmax(axis=1), len(true))
            offsets[index] = _best_of_one(turns, rival, labels, offsets[index], least, int(index), true, _WORTHS[goal])
            scores[:, index] = log_p[:, index] + offsets[index]
        if np.array_equal(before, offsets):
            break
    return offsets


def _best_of_one(turns: Floats, rival: Ints, labels: Ints, now: float, least: float, index: int, true: Floats, worth: _Worth) -> float:
    """Return the best offset of one class, given from which one on each row is called it and not its rival.

    It is `now`, of worth `least`, where none is better, and else the nearest of equals.
    """
    order = np.argsort(turns, kind="stable")
    turns, rival, labels = turns[order], rival[order], labels[order]
    worths = worth.whole(_sums(rival, labels, index, true, worth), true)
    steps = np.flatnonzero(turns[1:] > turns[:-1] + TIED) + 1
    middle = (turns[steps - 1] + turns[steps]) / 2
    best = worths[steps].max(initial=-np.inf)
    if best <= least + SAME:
        return now
    able = middle[worths[steps] >= best - SAME]
    return float(able[np.abs(able - now).argmin()])


def _sums(rival: Ints, labels: Ints, index: int, true: Floats, worth: _Worth) -> Floats:
    """Return the sums (M, N + 1) when no row is called `index`, the first, the first two, …; the others go to their rival."""
    classes = len(true)
    is_hit = rival == labels
    called, hits = (np.bincount(each, minlength=classes).astype(np.float64) for each in (rival, rival[is_hit]))
    # Rows of one rival, in turn: each leaves it with one call less, and with one hit less if it was one.
    grouped = np.argsort(rival.astype(np.int32), kind="stable")
    of = rival[grouped]
    left = np.arange(len(of)) - np.searchsorted(of, of)
    gone = np.cumsum(is_hit[grouped])
    lost = gone - (gone - is_hit[grouped])[np.searchsorted(of, of)]
    hit = is_hit[grouped]
    after = worth.parts(hits[of] - lost, called[of] - left - 1, true[of])
    change = np.empty_like(after)
    change[:, grouped] = after - worth.parts(hits[of] - lost + hit, called[of] - left, true[of])
    own_hits = np.concatenate([[0], np.cumsum(labels == index)]).astype(np.float64)
    own = worth.parts(own_hits, np.arange(len(labels) + 1, dtype=np.float64), np.broadcast_to(true[index], own_hits.shape))
    others = np.arange(classes) != index
    start = worth.parts(hits[others], called[others], true[others]).sum(axis=-1)
    return np.asarray(own + start[:, None] + np.concatenate([np.zeros((len(start), 1)), np.cumsum(change, axis=1)], axis=1))
