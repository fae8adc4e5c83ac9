"""What the driver of a Ray job is told: its task, and how to reach the API. A file on the folder that all share, for its eyes only."""

import os
from pathlib import Path

from counterweight.contracts.base import View
from counterweight.contracts.messages import TrainerTask

SILENCE_S = 600.0
"""A driver that the API does not answer for so long gives up, and one that says nothing for so long is given up."""


class Errand(View):
    """Train `task`, and write letters to the API at `url`, showing `token`, at least every `beat_s` seconds."""

    task: TrainerTask
    url: str
    token: str
    beat_s: float


def leave(errand: Errand, path: Path) -> None:
    """Put an errand where its driver finds it. It is not told to Ray, which would show the token to everybody who looks at its jobs."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(errand.model_dump_json())
        file.flush()
        os.fsync(file.fileno())


def take(path: Path) -> Errand:
    """Read an errand, and leave nothing of it."""
    errand = Errand.model_validate_json(path.read_bytes())
    path.unlink()
    return errand
