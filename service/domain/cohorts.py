"""Which queued jobs are trained together, and how many at once."""

from counterweight.contracts.cohorts import shared_settings
from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.learners import Resnet
from service.domain import estimates, image_networks, table_networks
from service.domain.canonical import digest

CACHE_BYTES = 4 * 2**20
"""So much of one layer's activations, over all members, a processor works on at its best (`python -m benchmarks.cohort_grid`): with a
half of it some shapes are a tenth slower, and with four times as much the widest falls out of the cache and behind single trainings."""

FEWEST_ON_CPU, MOST_ON_CPU = 2, 32
MOST_ON_GPU = 64
"""More would not be faster: by then a step is no longer spent on launching kernels. Reckoned, not measured."""

MEMORY_SHARE = 0.5
"""So much of the memory a cohort may plan to use: estimates are rough, and others are there too."""


def cohort_key(spec: ResolvedSpec) -> str:
    """Return the digest of all that jobs must have in common to be trained together. A dataset's jobs are all of its project."""
    return digest(shared_settings(spec))


def pack_size(spec: ResolvedSpec, facts: TableFacts, *, on_gpu: bool, memory_bytes: int | None) -> int:
    """Return how many jobs like this one are best trained together where there is so much memory; at least 1."""
    need = estimates.memory(spec, facts)
    room = 1 if memory_bytes is None else max(1, 1 + int((MEMORY_SHARE * memory_bytes - need.bytes) / need.member_bytes))
    if on_gpu:
        return min(MOST_ON_GPU, room)
    best = best_on_cpu(estimates.batch_rows(spec, facts), _width(spec, facts))
    return best if memory_bytes is None else min(best, room)


def even_share(waiting: int, most: int, slots: int) -> int:
    """Return how many of so many jobs to train together, `most` at most, in each of the slots without work.

    In as few rounds as can be, and all of one size: a remainder would be a small stack, which is slow for what it holds, and leave the
    other slots idle at the end.
    """
    rounds = -(-waiting // (slots * most))
    return -(-waiting // (slots * rounds))


def best_on_cpu(batch_rows: int, width: int) -> int:
    """Return how many networks whose widest layer is so wide are best trained together on a processor, memory aside."""
    return min(MOST_ON_CPU, max(FEWEST_ON_CPU, CACHE_BYTES // (batch_rows * width * estimates.FLOAT_BYTES)))


def _width(spec: ResolvedSpec, facts: TableFacts) -> int:
    """Return how many numbers a row is in the widest layer that every member computes for itself."""
    if isinstance(spec.learner, Resnet):
        return image_networks.widest(spec.learner, facts.image_size or 0)
    return table_networks.widest(spec.learner, estimates.inputs(spec, facts), estimates.numbers(spec, facts), len(facts.classes))
