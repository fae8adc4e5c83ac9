"""Bootstrap draws of means and of rankings.

A metric that sees only groups of rows needs one Poisson number for each group and not one for each row: for average precision the
positives and the runs of negatives between them, for means the bins of a histogram.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.statistics import poisson
from counterweight.statistics.bootstrap import DRAWS, chunks
from workers.training.ranking import Ranking

MOST_BINS = 128
RANKS = 256
"""About so many groups with positives are left of more."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Counts = NDArray[np.integer | np.floating]


@dataclass(frozen=True)
class _Runs:
    """The weight of the positives of each group that holds any, of the negatives tied with them, of those between the group and the
    one before it (H, ...), and of the negatives after the last (...,)."""

    hits: Counts
    tied: Counts
    between: Counts
    after: Counts

    @classmethod
    def of(cls, weights: Counts) -> "_Runs":
        """Take them apart from the weights (3H + 1, ...) of all runs, the three kinds one after the other, then the last."""
        hits, tied, between = np.split(weights[:-1], 3)
        return cls(hits, tied, between, weights[-1])


def mean_draws(values: Floats, source: np.random.Generator) -> Floats:
    """Return draws (DRAWS,) of the mean of `values`.

    Values in one of 128 bins of equal width count as their mean; what that drops of the sum's variance, normal noise puts back.
    """
    low, high = float(values.min()), float(values.max())
    width = (high - low) / MOST_BINS
    if width <= 0:
        return np.full(DRAWS, low)
    bins = np.minimum(((values - low) / width).astype(np.int64), MOST_BINS - 1)
    rows = np.bincount(bins, minlength=MOST_BINS)
    means = np.bincount(bins, weights=values, minlength=MOST_BINS) / np.maximum(rows, 1)
    dropped = np.sqrt(((values - means[bins]) ** 2).sum())
    filled = rows > 0
    weights = poisson.weights(rows[filled], DRAWS, source).astype(np.float64)
    total = weights.sum(axis=0)
    return _over(means[filled] @ weights + dropped * source.standard_normal(DRAWS), total)


def ranking_draws(ranking: Ranking, source: np.random.Generator) -> tuple[Floats, Floats]:
    """Return draws (DRAWS,) of average precision and of AUROC, from the same weights."""
    merged = _merged(ranking)
    runs = _counts(merged)
    sizes = np.concatenate([runs.hits, runs.tied, runs.between, [runs.after]])
    draws = [_worth(_Runs.of(poisson.weights(sizes, count, source))) for count in chunks(len(sizes))]
    shift = _shift(ranking, merged)
    precision, area = np.concatenate(draws, axis=1)
    return precision + shift[0], area + shift[1]


def joint_ranking_draws(
    rankings: Sequence[Ranking], truths: Sequence[NDArray[np.bool_]], source: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return draws (DRAWS, C) of each class's average precision and AUROC against the rest, a row weighing the same for all classes.

    `truths` say of each row whether it is of the class. The mean over classes needs this: one row's weight moves the metrics of all
    classes together.
    """
    merged = [_merged(ranking) for ranking in rankings]
    runs = [_run_of_row(ranking, truth) for ranking, truth in zip(merged, truths, strict=True)]
    widths = [3 * int((ranking.positives > 0).sum()) + 1 for ranking in merged]
    worth = []
    for count in chunks(sum(widths)):
        sums = [np.empty((count, width)) for width in widths]
        for draw in range(count):
            weights = poisson.of_single_rows(len(truths[0]), source)
            for run, of_class in zip(runs, sums, strict=True):
                of_class[draw] = np.bincount(run, weights=weights, minlength=of_class.shape[1])
        worth.append(np.array([_worth(_Runs(each[0:-1:3], each[1:-1:3], each[2:-1:3], each[-1])) for each in (of.T for of in sums)]))
    shifts = np.array([_shift(ranking, coarse) for ranking, coarse in zip(rankings, merged, strict=True)])
    together = np.concatenate(worth, axis=2) + shifts[:, :, None]
    return together[:, 0].T, together[:, 1].T


def _merged(ranking: Ranking) -> Ranking:
    """Merge groups: those with positives that share a bin, as if tied, with all negatives between them; else each run of negatives."""
    is_hit = ranking.positives > 0
    bins = _bins(_counts(ranking))
    place = np.cumsum(is_hit)
    before, after = np.concatenate([[-1], bins])[place], np.concatenate([bins, [bins[-1] + 1]])[place - is_hit]
    # A run of negatives goes with the positives around it if they share a bin, else it stands between two bins.
    key = np.where(is_hit | (before == after), 2 * before, 2 * before + 1)
    starts_group = np.diff(key, prepend=key[0] - 1) > 0
    starts, of_group = np.flatnonzero(starts_group), np.cumsum(starts_group) - 1
    return Ranking(
        scores=ranking.scores[starts],
        positives=np.add.reduceat(ranking.positives, starts),
        negatives=np.add.reduceat(ranking.negatives, starts),
        group=of_group[ranking.group],
    )


def _bins(runs: _Runs) -> Ints:
    """Return the bin of each group with positives.

    What two groups lose by being tied is the order of their positives and negatives: pairs of the two kinds, which move the AUROC, and
    how far precision changes from one to the other, by about its share of all that has been called. Half of the bins divide either
    evenly: they are narrow at the top, and where the classes overlap.
    """
    if len(runs.hits) <= RANKS:
        return np.arange(len(runs.hits))
    negatives = runs.tied + runs.between
    called = runs.hits + negatives
    pairs, changes = np.cumsum(np.sqrt(runs.hits * negatives)), np.cumsum(called / np.cumsum(called))
    # In a perfect ranking there is no pair.
    return np.asarray((pairs / max(pairs[-1], 1.0) + changes / changes[-1]) * (RANKS // 2), dtype=np.int64)


def _shift(ranking: Ranking, merged: Ranking) -> tuple[float, float]:
    """Return what merging took from average precision and AUROC: the draws are moved back by it."""
    exact, coarse = (_worth(_one_draw(_counts(each))) for each in (ranking, merged))
    return float(exact[0][0] - coarse[0][0]), float(exact[1][0] - coarse[1][0])


def _one_draw(runs: _Runs) -> _Runs:
    return _Runs(runs.hits[:, None], runs.tied[:, None], runs.between[:, None], runs.after[None])


def _counts(ranking: Ranking) -> _Runs:
    """Return the runs in which every row weighs 1."""
    hit = np.flatnonzero(ranking.positives)
    above = np.cumsum(ranking.negatives)[hit]
    tied = ranking.negatives[hit]
    between = above - tied - np.concatenate([[0], above[:-1]])
    return _Runs(ranking.positives[hit], tied, between, np.asarray(ranking.rows[1] - above[-1]))


def _run_of_row(ranking: Ranking, is_positive: NDArray[np.bool_]) -> Ints:
    """Return which run each row is in: 3h for the positives of the h-th group that has any, 3h + 1 for the negatives tied with them,
    3h + 2 for those between it and the one before, and the last number for those after all."""
    is_hit = ranking.positives > 0
    hits_before: Ints = np.cumsum(is_hit) - is_hit
    of_negatives = 3 * hits_before + np.where(is_hit, 1, 2)
    of_negatives[~is_hit & (hits_before == is_hit.sum())] = 3 * int(is_hit.sum())
    return np.asarray(np.where(is_positive, 3 * hits_before[ranking.group], of_negatives[ranking.group]))


def _worth(runs: _Runs) -> tuple[Floats, Floats]:
    """Return average precision and AUROC (B,) of weighed runs; NaN where a draw has no positive or no negative."""
    # Through few buffers, for memory is what this waits for; and run by run, so that sums over them are sums of long rows.
    hits, tied = runs.hits.astype(np.float64), runs.tied.astype(np.float64)
    above = np.cumsum(runs.between + tied, axis=0)
    reached = np.cumsum(hits, axis=0)
    positives, negatives = reached[-1].copy(), above[-1] + runs.after
    halves = np.einsum("ij,ij->j", hits, tied) / 2
    pairs = positives * negatives
    area = pairs - np.einsum("ij,ij->j", hits, above) + halves
    above += reached
    precision = np.divide(reached, np.maximum(above, 1, out=above), out=reached)
    return _over(np.einsum("ij,ij->j", hits, precision), positives), _over(area, pairs)


def _over(above: Counts, below: Counts) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0))
