"""How much faster 64 networks train as one stack on a GPU than one after another, and how near a step comes to what the GPU can do.

`python -m benchmarks.cohort_gpu` needs a CUDA device and a torch that was built for it; without them it says so and ends with status 2.
Networks of two hidden layers 128 wide in batches of 256, as `benchmarks.cohort_grid` has them, through `train` with its recorded steps,
TF32 and a moving average; the arms take turns, and the ratio is that of their medians.

A step cannot be faster than the larger of two limits, both measured here: to launch as many kernels as it has, out of a recorded graph and
with next to nothing to do in each, and to move its parameters, gradients, moments and averages through the GPU's memory as often as they
must be. What it reaches of that limit is told.
"""

import sys
import time

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]  # Not listed, and all there is.
from torch.profiler import ProfilerActivity, profile

from benchmarks.cohort_grid import INPUTS, ROWS, Cell, Epochs
from benchmarks.figures import Figure, table
from workers.training.pace import batch_ends
from workers.training.products import use_tensor_cores

WIDTH, BATCH, MEMBERS = 128, 256, 64
ROUNDS = 5
PASSES = 12
"""Over a float of each parameter in a step: gradient written and read twice for clipping and once more, weight and two moments and average
each read and written."""


def main() -> int:
    if not torch.cuda.is_available():
        print(f"this benchmark needs a CUDA device and a torch built for it; torch {torch.__version__} finds none", file=sys.stderr)
        return 2
    device = torch.device("cuda")
    use_tensor_cores()
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}")
    print(table(measure(device)))
    return 0


def measure(device: torch.device) -> list[Figure]:
    stacked, alone = (Epochs(Cell(WIDTH, BATCH, members), device) for members in (MEMBERS, 1))
    seconds, single = _medians(stacked, alone)
    steps = len(batch_ends(ROWS, BATCH))
    step_s, limit_s, told = seconds / steps, *_limit(stacked, steps, device)
    rows = f"{MEMBERS * ROWS / seconds / 1e6:.1f}M rows/s"
    return [
        Figure(
            f"{MEMBERS} networks {WIDTH} wide, batch {BATCH}",
            rows,
            f"one by one {ROWS / single / 1e6:.2f}M",
            MEMBERS * single / seconds,
            20.0,
        ),
        Figure("its step", f"{step_s * 1e6:.0f} us", told, limit_s / step_s, 0.0),
    ]


def _medians(*arms: Epochs) -> list[float]:
    taken: list[list[float]] = [[] for _ in arms]
    for _ in range(ROUNDS + 1):
        for arm, seconds in zip(arms, taken, strict=True):
            started = time.perf_counter()
            arm.one()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
    return [sorted(seconds[1:])[ROUNDS // 2] for seconds in taken]


def _limit(stacked: Epochs, steps: int, device: torch.device) -> tuple[float, str]:
    """Return the seconds that a step takes at least, and what they come from."""
    launch_s = _kernels(stacked) / steps * _kernel_s(device)
    parameters = MEMBERS * (INPUTS * WIDTH + WIDTH * WIDTH + 2 * WIDTH)
    memory_s = PASSES * 4 * parameters / _bytes_per_s(device)
    limits = f"launches {launch_s * 1e6:.0f} us, memory {memory_s * 1e6:.0f} us"
    return max(launch_s, memory_s), limits


def _kernels(stacked: Epochs) -> int:
    """Return how many kernels an epoch runs on the GPU, copies included."""
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        stacked.one()
        torch.cuda.synchronize()
    return len([event for event in found.events() or [] if event.device_type == DeviceType.CUDA])


def _kernel_s(device: torch.device, kernels: int = 1000) -> float:
    """Return how long a recorded kernel takes that has nothing to do."""
    number, graph = torch.zeros(1, device=device), torch.cuda.CUDAGraph()
    number.add_(1)
    with torch.cuda.graph(graph):
        for _ in range(kernels):
            number.add_(1)
    return _seconds(graph.replay) / kernels


def _bytes_per_s(device: torch.device, size: int = 2**30) -> float:
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _seconds(lambda: target.copy_(source))


def _seconds(work: object) -> float:
    assert callable(work)
    work()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(10):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / 10


if __name__ == "__main__":
    sys.exit(main())
