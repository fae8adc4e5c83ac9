"""What happens in a training, to each member under its number."""

from dataclasses import dataclass

from torch import Tensor

from counterweight.contracts.terms import LossTerms
from workers.training.errors import Diverged
from workers.training.saving import Saved


@dataclass(frozen=True)
class Epoch:
    """A member finished an epoch."""

    member: int
    epoch: int
    step: int
    values: dict[str, float]
    rows_per_s: float
    eta_s: float


@dataclass(frozen=True)
class Trained:
    """A member is done: the parameters (1, P) of its best epoch, and the terms of the loss that made them.

    `deferred_from` is the epoch from which on these were the deferred ones; None where they were the first.
    """

    member: int
    parameters: Tensor
    best_epoch: int
    terms: LossTerms
    deferred_from: int | None = None


@dataclass(frozen=True)
class Lost:
    """A member's loss was not finite."""

    member: int
    error: Diverged


@dataclass(frozen=True)
class Withdrawn:
    """A member was cancelled."""

    member: int


@dataclass(frozen=True)
class Deferred:
    """A member's deferred terms come into force after `epoch`."""

    member: int
    epoch: int


@dataclass(frozen=True)
class Kept:
    """The training of all members as it is, to be written down; `is_again` tells the second one of a refit."""

    saved: Saved
    is_again: bool = False


@dataclass(frozen=True)
class Departed:
    """A member left, to come back later: it goes on from what was kept just before."""

    member: int


@dataclass(frozen=True)
class Halved:
    """A batch was too large for the memory: no more than `micro_batch` of its rows are taken at once from now on, and added up."""

    member: int
    micro_batch: int


MemberEvent = Epoch | Deferred | Trained | Lost | Withdrawn | Departed | Halved
Event = MemberEvent | Kept
