"""Checkpoints of a cohort: one file of tensors each, with facts in JSON in its header."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from counterweight.contracts.base import View
from counterweight.contracts.jobs import ResolvedSpec
from counterweight.contracts.messages import CheckpointFile, StoredFile
from counterweight.crashpoints import crashpoint
from workers.training.files import digest, write_whole
from workers.training.happenings import Kept, Trained
from workers.training.saving import Saved, Standing

_FACTS = "facts"


class Passenger(View):
    """A job that was trained when the checkpoint was made, in the order of the members' numbers."""

    job_id: str
    spec: ResolvedSpec


class Held(View):
    """A member whose first training is over and that waits to be trained again; its parameters are the tensor `held.3`."""

    member: int
    best_epoch: int
    deferred_from: int | None


class Facts(View):
    """What a checkpoint holds beside its tensors. `network` describes the network; `is_again` tells the second training of a refit."""

    network: str
    members: list[Passenger]
    is_again: bool
    held: list[Held]
    standing: Standing

    def unfinished(self) -> set[str]:
        """Return the jobs that still train, and those that wait to be trained again."""
        # The second training numbers those that are held.
        numbers = [one.member for one in self.held]
        active = [numbers[place] for place in self.standing.active] if self.is_again else [*self.standing.active, *numbers]
        return {self.members[member].job_id for member in active}


@dataclass(frozen=True)
class Checkpoint:
    """A training of a cohort between two steps: its facts, and all its tensors by name."""

    facts: Facts
    tensors: dict[str, Tensor]

    @property
    def saved(self) -> Saved:
        return Saved(self.facts.standing, self.tensors)

    def unfinished(self) -> set[str]:
        return self.facts.unfinished()


def write(
    folder: Path, number: int, network: str, members: list[Passenger], kept: Kept, held: Mapping[int, Trained]
) -> tuple[StoredFile, Facts]:
    """Write a checkpoint, whole and down to the disk; return its file, and the facts in it."""
    waiting = [Held(member=member, best_epoch=one.best_epoch, deferred_from=one.deferred_from) for member, one in sorted(held.items())]
    facts = Facts(network=network, members=members, is_again=kept.is_again, held=waiting, standing=kept.saved.standing)
    tensors = kept.saved.tensors | {f"held.{member}": one.parameters.detach().cpu().contiguous() for member, one in held.items()}
    content = safetensors.torch.save(tensors, {_FACTS: facts.model_dump_json()})
    name = f"{number}.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    crashpoint("checkpoint.begun")
    sha256 = write_whole(folder / name, content)
    crashpoint("checkpoint.written")
    return StoredFile(name=name, path=name, bytes=len(content), sha256=sha256), facts


def read(file: CheckpointFile) -> Checkpoint | None:
    """Return a checkpoint; None where the file is gone, or not what was written."""
    path = Path(file.path)
    try:
        if digest(path) != file.sha256:
            return None
        with safe_open(path, "pt") as opened:
            facts = Facts.model_validate_json(opened.metadata()[_FACTS])
            return Checkpoint(facts, {name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
