"""What can go wrong in training that the owner of a job can mend."""

import torch

from counterweight.contracts.jobs import FailureClass

_MEMORY_SIGNS = ("not enough memory", "can't allocate memory", "out of memory")


class TrainingError(Exception):
    """Training cannot go on; the message names the thing, the value and the way out."""

    failure_class: FailureClass = "data"

    def __init__(self, detail: str, hint: str | None = None) -> None:
        super().__init__(detail)
        self.hint = hint


class UnusableData(TrainingError):
    """The table cannot be trained on as it is."""


class Diverged(TrainingError):
    """The loss of a batch was not finite."""

    failure_class = "diverged"


class OutOfMemory(TrainingError):
    """The device has too little memory for this job."""

    failure_class = "out_of_memory"


class TooLarge(MemoryError):
    """The rows that a step takes at once do not fit into memory; nothing but draws and buffers has moved."""


def lacks_memory(trouble: Exception) -> bool:
    """Whether this is a lack of memory, by whichever name."""
    return isinstance(trouble, MemoryError | torch.OutOfMemoryError) or any(sign in str(trouble) for sign in _MEMORY_SIGNS)
