"""What a training run says about itself, in lines for its owner: sparing, and without a path of the host."""

import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from counterweight.contracts.evaluation import Evaluation, Metric
from counterweight.contracts.jobs import LogLevel, Resolved
from counterweight.contracts.messages import Log, StoredFile
from counterweight.contracts.splits import PARTS
from workers.training.checkpoints import Facts
from workers.training.happenings import Epoch
from workers.training.pilot import Choice
from workers.training.prepared import Prepared

SHARE_BETWEEN_EPOCHS = 0.05
"""An epoch is told when it is so much of the whole after the one told before it: some twenty lines, however long the training."""

LAST_FRAMES = 12
_PATH = re.compile(r"(?:/[^\s/'\":,()]+)+/(?=[^\s/'\":,()]+)")


class Telling:
    """Makes the log lines of a run's members."""

    def __init__(self, epochs: int, clock: Callable[[], float]) -> None:
        self._epochs, self._clock = epochs, clock
        self._told: dict[str, int] = {}
        self._latest: dict[str, int] = {}

    def beginning(self, job_id: str, resolved: Resolved, prepared: Prepared, choice: Choice | None) -> Iterator[Log]:
        """Tell on what and with what the member trains."""
        environment = resolved.environment
        beside = "" if resolved.cohort_size == 1 else f", together with {resolved.cohort_size - 1} other jobs"
        shared = "" if resolved.ranks == 1 else f" and {resolved.ranks - 1} more, each with its share of every batch"
        device = f"{resolved.device}{shared}"
        yield self._line(job_id, f"training on {device}, {environment.threads} threads, torch {environment.torch}{beside}")
        for part, rows in zip(PARTS, prepared.part_rows, strict=True):
            counts = ", ".join(f"{label} {count}" for label, count in zip(prepared.classes, prepared.class_counts(part), strict=True))
            yield self._line(job_id, f"{part}: {rows} rows ({counts})")
        learner = " ".join(f"{name}={value}" for name, value in resolved.learner.model_dump().items() if name != "kind")
        yield self._line(job_id, f"{resolved.learner.kind} over {prepared.encoding.width} inputs {learner}".rstrip())
        for note in resolved.notes:
            yield self._line(job_id, note, "info" if choice is not None and note == choice.note else "warning")

    def resuming(self, job_id: str, facts: Facts | None) -> Iterator[Log]:
        """Tell where the member goes on, or that it cannot."""
        if facts is None:
            yield self._line(job_id, "no checkpoint is whole, or of this network: training begins anew", "warning")
            return
        again = " of the training on training and validation rows" if facts.is_again else ""
        yield self._line(job_id, f"goes on from a checkpoint, after step {facts.standing.steps} (epoch {facts.standing.epoch}){again}")

    def unkept(self, job_ids: Iterable[str], error: OSError) -> Iterator[Log]:
        """Tell every member that a checkpoint could not be written."""
        for job_id in job_ids:
            message = (
                f"no checkpoint could be written ({error.strerror or error}): training goes on, and would be taken up from the one before"
            )
            yield self._line(job_id, message, "warning")

    def epoch(self, job_id: str, done: Epoch) -> Iterator[Log]:
        """Tell of some epochs: the first ones, the last, and one in each twentieth of the whole."""
        told = self._latest[job_id] = done.epoch
        if done.epoch > 1 and told - self._told.get(job_id, 0) < SHARE_BETWEEN_EPOCHS * self._epochs and done.epoch < self._epochs:
            return
        self._told[job_id] = done.epoch
        values = ", ".join(f"{name} {value:.5g}" for name, value in done.values.items())
        yield self._line(job_id, f"epoch {done.epoch} of {self._epochs}: {values}")

    def deferred(self, job_id: str, epoch: int) -> Iterator[Log]:
        """Tell when the loss's deferred terms come into force."""
        yield self._line(job_id, f"from epoch {epoch + 1} on the loss weighs the classes")

    def halved(self, job_id: str, micro_batch: int) -> Iterator[Log]:
        """Tell that a batch is taken in smaller parts from now on."""
        yield self._line(job_id, f"out of memory; from now on no more than {micro_batch} rows of a batch are taken at once", "warning")

    def trained(self, job_id: str, best_epoch: int) -> Iterator[Log]:
        """Tell when the training ended, and which epoch was kept."""
        latest = self._latest[job_id]
        ended = "trained to the end" if latest == self._epochs else f"stopped early after epoch {latest} of {self._epochs}: no further gain"
        yield self._line(job_id, f"{ended}; the weights of epoch {best_epoch} are kept")

    def refitting(self, job_id: str, rows: int, epochs: int) -> Iterator[Log]:
        """Tell that the member is trained again."""
        yield self._line(job_id, f"training again on all {rows} training and validation rows, for {epochs} epochs")

    def finished(self, job_id: str, evaluation: Evaluation, files: list[StoredFile]) -> Iterator[Log]:
        """Tell what was measured and written."""
        yield self._line(job_id, f"{evaluation.calibration.chosen} probabilities, by log-loss on the validation rows")
        if evaluation.threshold.value is not None:
            yield self._line(job_id, f"threshold {evaluation.threshold.value:.4g} by {evaluation.threshold.policy} on the validation rows")
        if any(evaluation.threshold.offsets.values()):
            offsets = ", ".join(f"{label} {offset:+.3g}" for label, offset in evaluation.threshold.offsets.items())
            yield self._line(job_id, f"offsets by {evaluation.threshold.policy} on the validation rows: {offsets}")
        for part, measured in evaluation.splits.items():
            values = ", ".join(f"{name} {_shown(metric)}" for name, metric in measured.metrics.items())
            yield self._line(job_id, f"{part}: {values}")
        yield self._line(job_id, "wrote " + ", ".join(f"{file.name} ({file.bytes} bytes)" for file in files))

    def _line(self, job_id: str, message: str, level: LogLevel = "info") -> Log:
        return Log(job_id=job_id, level=level, message=message, time=self._clock())


def crash_lines(error: BaseException) -> list[str]:
    """Return an error and where it happened, innermost last: code by its place in its package, and paths cut to their last name."""
    frames = traceback.extract_tb(error.__traceback__)[-LAST_FRAMES:]
    places = [f"  {_module(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames]
    said = _PATH.sub("…/", str(error)).splitlines() or [""]
    return [*places, f"{type(error).__name__}: {said[0]}", *(f"  {line}" for line in said[1:LAST_FRAMES])]


def _module(filename: str) -> str:
    """Return a code file by its place in our packages or among the installed ones."""
    parts = Path(filename).parts
    for root in ("site-packages", "workers", "counterweight"):
        if root in parts:
            place = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[place + (root == "site-packages") :])
    return parts[-1] if parts else "?"


def _shown(metric: Metric) -> str:
    if metric.value is None:
        return f"undefined ({metric.reason})"
    interval = "" if metric.low is None or metric.high is None else f" ({metric.low:.4f} to {metric.high:.4f})"
    return f"{metric.value:.4f}{interval}"
