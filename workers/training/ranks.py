"""Processes that train one population together: each takes its share of every batch, and all take the same steps.

Plain `torch.distributed`: who started the processes, and where, is of no matter here. Nothing is pickled between them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """This process's place among `size` of them. The first one decides what hangs on the clock or on orders, and tells the others.

    `words` is the group for what is said; None for a process alone, which needs no torch.distributed.
    """

    rank: int
    size: int
    words: dist.ProcessGroup | None = None

    @classmethod
    def joined(cls) -> Self:
        """Return this process's place in torch's default group; all of its processes must call this."""
        # A group of its own: numbers may go from GPU to GPU by NCCL, and no word is to wait for them.
        return cls(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))

    @property
    def is_alone(self) -> bool:
        return self.size == 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, rows: int) -> slice:
        """Return which of so many rows are this process's: parts of nearly equal length, some of them empty where rows are few."""
        return slice(self.rank * rows // self.size, (self.rank + 1) * rows // self.size)

    def add_up(self, numbers: Tensor) -> None:
        """Make `numbers` the sum of all processes' own: the same to the last digit in each."""
        if not self.is_alone:
            dist.all_reduce(numbers)

    def together(self, part: Tensor, rows: int, dim: int) -> Tensor:
        """Return what all processes have, each of its share of so many rows along `dim`."""
        if self.is_alone:
            return part
        whole = part.new_zeros(*part.shape[:dim], rows, *part.shape[dim + 1 :])
        share = self.share(rows)
        whole.narrow(dim, share.start, share.stop - share.start).copy_(part)
        self.add_up(whole)
        return whole

    def is_so_for_any(self, claim: bool) -> bool:
        """Whether the claim holds in any process."""
        if self.is_alone:
            return claim
        votes = torch.tensor([claim], dtype=torch.uint8)
        dist.all_reduce(votes, dist.ReduceOp.MAX, self.words)
        return bool(votes.item())

    def tells(self, claim: bool) -> bool:
        """Whether the claim holds in the first process."""
        return self.is_so_for_any(claim and self.is_first)

    def told(self, make: Callable[[], Value]) -> Value:
        """Return what `make` makes in the first process: a value of JSON, since that is how it travels."""
        if self.is_alone:
            return make()
        said = torch.frombuffer(bytearray(json.dumps(make()).encode()), dtype=torch.uint8) if self.is_first else torch.empty(0)
        length = torch.tensor([len(said)])
        dist.broadcast(length, 0, self.words)
        text = said if self.is_first else torch.empty(int(length), dtype=torch.uint8)
        dist.broadcast(text, 0, self.words)
        heard: Value = json.loads(bytes(text.tolist()))
        return heard

    def gathered(self, mine: Tensor) -> list[Tensor]:
        """Return the tensors of all processes, on the processor and of one shape, in order."""
        if self.is_alone:
            return [mine]
        found = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(found, mine, self.words)
        return found

    def after_first(self, make: Callable[[], Value]) -> Value:
        """Return what `make` makes, in the first process before the others: they find on the disk what it has put there."""
        if self.is_alone:
            return make()
        try:
            if self.is_first:
                return make()
        finally:
            dist.barrier(self.words)
        return make()


ALONE = Ranks(0, 1)
