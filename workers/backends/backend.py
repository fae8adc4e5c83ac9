"""Where trainers run: on this host, or on a cluster. An agent knows its backend by these words alone."""

from collections.abc import Sequence
from typing import Protocol

from counterweight.contracts.messages import TrainerTask
from service.persistence.queue import Claim
from workers.processes import TrainerProcess


class Backend(Protocol):
    """Starts trainers: each is heard, and told what to do, through a pipe that ends when the trainer does."""

    def warm_up(self) -> None:
        """Get ready beside everything else, so that the first job does not wait."""

    def obstacle(self) -> str | None:
        """Return what would keep a trainer that is started now from running: as long as there is something, no job is claimed."""

    def start(self, task: TrainerTask, claims: Sequence[Claim]) -> TrainerProcess:
        """Start a trainer of the jobs that were claimed for it, the first of them for all; what is in the way of it ends its pipe."""

    def close(self) -> None:
        """Wait, for a while, until what was killed has ended."""
