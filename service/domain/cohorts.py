"""Which queued jobs are trained together, and how many at once."""

from counterweight.contracts.cohorts import shared_settings
from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.learners import Resnet
from service.domain import estimates, image_networks, table_networks
from service.domain.canonical import digest

CACHE_BYTES = 2 * 2**20
"""So much of one layer's activations, over all members, a processor works on at its best (measured; more falls out of its cache)."""

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
    layer = estimates.batch_rows(spec, facts) * _width(spec, facts) * estimates.FLOAT_BYTES
    best = min(MOST_ON_CPU, max(FEWEST_ON_CPU, CACHE_BYTES // layer))
    return best if memory_bytes is None else min(best, room)


def _width(spec: ResolvedSpec, facts: TableFacts) -> int:
    """Return how many numbers a row is in the widest layer that every member computes for itself."""
    if isinstance(spec.learner, Resnet):
        return image_networks.widest(spec.learner, facts.image_size or 0)
    return table_networks.widest(spec.learner, estimates.inputs(spec, facts), estimates.numbers(spec, facts), len(facts.classes))
