"""A training in progress as tensors and facts: what has to be kept so that it goes on to the last digit as if nothing had happened."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from counterweight.contracts.base import View
from workers.training.networks import Architecture

NUMBERS = ("parameters", "averages", "means", "squares")
"""The vectors of a stack, in the order in which a population has them."""


class Watched(View):
    """What a member's watch has seen; `best` is None before its first epoch."""

    best_epoch: int
    best: float | None
    since: int


class Standing(View):
    """Where a training stands: `batch` batches of `epoch` are done. `stack`, `active` and `seeds` are in order; members are numbers.

    It was trained by so many `ranks`, each taking `micro_batch` rows at once; None for all of its share.
    """

    epoch: int
    batch: int
    steps: int
    elapsed_s: float
    device: str
    ranks: int = 1
    micro_batch: int | None = None
    stack: list[int]
    active: list[int]
    seeds: list[int]
    watches: list[Watched]
    deferred_from: dict[int, int]


@dataclass(frozen=True)
class Saved:
    """A training between two of its steps. `tensors`, on the processor, holds by name:

    the four `NUMBERS` of the stack; `sums` (places, batches), the losses of the epoch so far; `draws` (places, bytes), the states of
    the members' generators, those of all ranks beside each other; `orders` (seeds, bytes), those of the generators of the batches'
    order, as they were before the epoch; and `best.3` (1, P), the parameters of the best epoch of member 3.
    """

    standing: Standing
    tensors: dict[str, Tensor]

    def without(self, gone: Collection[int], network: Architecture) -> "Saved":
        """Return this with the members that are `gone` no longer active.

        Where half of the stack or less is left, theirs leave it: those who come back because there was too little memory for all would
        have gained nothing. Else they stay in it, as they would have had they ended meanwhile, and the others' digits are the same.
        """
        standing = self.standing
        left = [member for member in standing.active if member not in gone]
        if len(left) == len(standing.active):
            return self
        places = [place for place, member in enumerate(standing.stack) if member in left]
        if 2 * len(left) > len(standing.stack) or not left:
            return replace(self, standing=standing.model_copy(update={"active": left}))
        index, members = torch.tensor(places), len(standing.stack)
        chosen = {name: torch.cat([span[index].flatten() for span in network.spans(self.tensors[name], members)]) for name in NUMBERS} | {
            name: self.tensors[name][index] for name in ("sums", "draws")
        }
        stack = [standing.stack[place] for place in places]
        return Saved(standing.model_copy(update={"active": left, "stack": stack}), self.tensors | chosen)


@dataclass(frozen=True)
class Keeping:
    """When a training is to be saved: every so many seconds, and when a member is to leave it and come back later."""

    every_s: float
    is_leaving: Callable[[int], bool]


NEVER = Keeping(float("inf"), lambda _: False)
