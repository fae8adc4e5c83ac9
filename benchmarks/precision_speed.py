"""Training in the numbers that a job gets which names none, beside the others, where a processor has tiles for bfloat16.

The networks and rows are those of `benchmarks.cohort_grid`, on one thread: alone, and in the stack that the service would make.
"""

import torch

from benchmarks.cohort_grid import Cell, in_turn, rows_per_s
from benchmarks.figures import Figure
from counterweight.contracts.jobs import Precision
from service.domain.cohorts import best_on_cpu
from workers.training.precision import is_bfloat16_fast, precision_of
from workers.training.products import use_widest_products

SHAPES = ((64, 256), (128, 32), (128, 64), (128, 128), (128, 256), (256, 256), (128, 1024), (256, 1024))
"""Width and batch."""

BOTH: tuple[Precision, Precision] = ("float32", "bfloat16")


def measure() -> list[Figure]:
    device = torch.device("cpu")
    if not is_bfloat16_fast(device):
        return [Figure("training in bfloat16", "–", "float32; this processor has no AMX", None)]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    use_widest_products()
    try:
        return [figure for width, batch in SHAPES for members in (1, best_on_cpu(batch, width)) for figure in _of(width, batch, members)]
    finally:
        torch.set_num_threads(before)


def _of(width: int, batch: int, members: int) -> list[Figure]:
    ours = precision_of("auto", torch.device("cpu"), batch)
    other = next(precision for precision in BOTH if precision != ours)
    (cell, seconds), (other_cell, other_seconds) = in_turn([Cell(width, batch, members, ours), Cell(width, batch, members, other)])
    what = f"{members} networks {width} wide, batch {batch}, in {ours}"
    beside = f"{other} {rows_per_s(other_cell, other_seconds)}"
    return [Figure(what, rows_per_s(cell, seconds), beside, other_seconds / seconds, 0.0)]
