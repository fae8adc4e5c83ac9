"""How batches come to a population: gathered from rows on the device, and on a GPU the whole step is one graph that is replayed."""

import logging
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor

from workers.training.errors import TooLarge, lacks_memory
from workers.training.networks import padded
from workers.training.population import Number, Part, Population
from workers.training.ranks import ALONE, Ranks
from workers.training.rows import Source

logger = logging.getLogger(__name__)

Made = TypeVar("Made")

Take: TypeAlias = Callable[[Tensor, Number, Number], Tensor]
"""Take a step on the rows at an index (G, N), at a rate, as the step of a number; return each member's summed loss (K,)."""

SMALLEST_PART = 16
"""Rows of a batch are taken at once, whatever the memory: fewer take no less, since networks pad them to as many."""

EAGER_STEPS = 3
"""Of a shape before it is recorded: what they set up at their first use (libraries, memory) is no part of the graph."""


class Stepper:
    """Takes a population's steps on rows that lie on its device, labels and weights (None: all count alike) beside them.

    On a GPU a small network's step is spent on launching kernels one by one, thirty or forty of them. Recorded as a CUDA graph they are
    launched at once: the index of the batch, the learning rate and the number of the step come to it in buffers that stay where they are.

    Among several `ranks` it takes a share of each batch. With a `micro_batch` it takes no more rows at once than that, and sums up.
    """

    def __init__(
        self,
        population: Population,
        source: Source,
        labels: Tensor,
        weights: Tensor | None,
        ranks: Ranks = ALONE,
        micro_batch: int | None = None,
    ) -> None:
        self._population, self._source, self._labels, self._weights, self._ranks = population, source, labels, weights, ranks
        self.micro_batch = micro_batch
        # What several processes do together is no part of a graph.
        self._records = can_record(labels.device) and ranks.is_alone
        self._recorded: dict[torch.Size, RecordedStep] = {}

    def step(self, index: Tensor, rate: float, number: int) -> Tensor:
        """Take step `number`, the first is 1, on the rows at `index` (G, N); return each member's summed loss (K,) until the next step.

        TooLarge where that takes more memory than there is: the step is then not taken, and can be asked for again once it was halved.
        """
        before = self._population.mark() if self._can_halve else None
        try:
            return self._step(index, rate, number)
        except TooLarge:
            if before is not None:
                self._population.go_back(before)
            raise

    def halve(self, rows: int) -> bool:
        """Take half as many rows of a batch of `rows` at once from now on; False where that would be of no use."""
        largest = -(-rows // self._ranks.size)
        largest = largest if self.micro_batch is None else min(largest, self.micro_batch)
        half = padded(-(-largest // 2))
        if not self._can_halve or largest <= SMALLEST_PART or half >= largest:
            return False
        self.micro_batch = half
        self.forget()
        if self._labels.is_cuda:
            torch.cuda.empty_cache()
        return True

    @property
    def _can_halve(self) -> bool:
        """Whether to: a stack is rather taken apart."""
        return self._population.members == 1

    def _step(self, index: Tensor, rate: float, number: int) -> Tensor:
        if not self._records:
            return self.take(index, rate, number)
        recorded = self._recorded.get(index.shape)
        if recorded is None:
            buffers = StepBuffers(self.take, index, self._population.dtype)
            recorded = self._recorded[index.shape] = RecordedStep(buffers, self._population.draws)
        try:
            return recorded.step(index, rate, number)
        except Unrecordable as trouble:
            logger.warning("the training step cannot be recorded as a CUDA graph (%s): its kernels are launched one by one", trouble)
            self._records = False
            return self.take(index, rate, number)

    def take(self, index: Tensor, rate: Number, number: Number) -> Tensor:
        """Take a step kernel by kernel."""
        rows = index.shape[1]
        share, at_once = index[:, self._ranks.share(rows)], min(rows, self.micro_batch or rows)
        if self._ranks.is_alone and at_once == rows:
            found = _fitting(lambda: self._population.gradients(self._part(index), rows))
            if found is None:
                raise TooLarge(f"{rows} rows at once")
            gradients, losses = found
            self._population.move(gradients, rate, number)
            return losses
        parts = torch.split(share, at_once, dim=1) if share.shape[1] else ()
        total = _fitting(lambda: self._population.sum_of(map(self._part, parts), rows))
        if self._ranks.is_so_for_any(total is None) or total is None:
            raise TooLarge(f"{at_once} rows at once")
        self._ranks.add_up(total.numbers)
        self._population.move_by(total, rate, number)
        return total.losses

    def _part(self, index: Tensor) -> Part:
        weights = None if self._weights is None else self._weights.take(index)
        return self._source.take(index), self._labels.take(index), weights

    def forget(self) -> None:
        """The population has other members or terms from now on: what was recorded is of those before."""
        self._recorded.clear()


def _fitting(make: Callable[[], Made]) -> Made | None:
    """Return what `make` makes; None where there is too little memory for it."""
    try:
        return make()
    except (MemoryError, RuntimeError) as trouble:
        if not lacks_memory(trouble):
            raise
        # Nothing of the trouble is kept: it would hold on to all that was made until then.
        return None


def can_record(device: torch.device) -> bool:
    return device.type == "cuda"


class StepBuffers:
    """A step whose batch, rate and number lie in tensors that stay: it runs the same kernels on the same memory each time."""

    def __init__(self, take: Take, index: Tensor, dtype: torch.dtype) -> None:
        self._take, self._index = take, torch.zeros_like(index, memory_format=torch.contiguous_format)
        # float32 is what the fused optimiser reads a learning rate in from a GPU.
        self._rate = torch.zeros((), dtype=torch.float32 if index.is_cuda else torch.float64, device=index.device)
        self._number = torch.zeros((), dtype=dtype, device=index.device)

    def fill(self, index: Tensor, rate: float, number: int) -> None:
        self._index.copy_(index)
        self._rate.fill_(rate)
        self._number.fill_(number)

    def run(self) -> Tensor:
        return self._take(self._index, self._rate, self._number)


class Unrecordable(Exception):
    """The step does something that a CUDA graph cannot hold."""


class RecordedStep:
    """A step of one shape of batch: taken a few times as it is, then recorded, then replayed. `draws` are the generators it draws from."""

    def __init__(self, buffers: StepBuffers, draws: list[torch.Generator]) -> None:
        self._buffers, self._draws = buffers, draws
        self._eager_steps = EAGER_STEPS
        self._graph: torch.cuda.CUDAGraph | None = None

    def step(self, index: Tensor, rate: float, number: int) -> Tensor:
        """Unrecordable where recording fails; the step is then not taken."""
        self._buffers.fill(index, rate, number)
        if self._eager_steps > 0:
            self._eager_steps -= 1
            return self._aside()
        if self._graph is None:
            self._graph, self._losses = self._record()
        self._graph.replay()
        return self._losses

    def _aside(self) -> Tensor:
        """Take the step on a stream of its own: autograd would tie what it first sees to the stream that cannot be recorded."""
        usual, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(usual)
        with torch.cuda.stream(aside):
            losses = self._buffers.run()
        usual.wait_stream(aside)
        return losses

    def _record(self) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Record the step, which takes none."""
        try:
            graph = torch.cuda.CUDAGraph()
            for generator in self._draws:
                graph.register_generator_state(generator)
            with torch.cuda.graph(graph):
                losses = self._buffers.run()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise Unrecordable(str(error).splitlines()[0]) from error
        return graph, losses
