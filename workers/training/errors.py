"""What can go wrong in training that the owner of a job can mend."""

from counterweight.contracts.jobs import FailureClass


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
