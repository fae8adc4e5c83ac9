"""What a job of ours makes of a split: the whole way from the table to the evaluation, without server or queue."""

import time
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.rows import Table
from counterweight.contracts.evaluation import CalibrationCandidate, Evaluation
from counterweight.contracts.messages import Failed, Member, PhaseChanged, Succeeded, TrainerTask
from workers.training.trainer import run


@dataclass(frozen=True)
class Outcome:
    """Test average precision, seconds, and the test log-loss of raw, Platt-scaled (None where it could not be fitted) and final odds."""

    average_precision: float
    seconds: float
    raw: float | None = None
    platt: float | None = None
    final: float | None = None
    learner: str = ""


def learn(table: Table, split: int, settings: dict[str, Any], threads: int) -> Outcome:
    """Train a job with these settings, all others at their defaults; RuntimeError where it fails."""
    home = table.folder / "job"
    home.mkdir(exist_ok=True)
    task = TrainerTask(
        members=[Member(job_id="job", spec=table.spec(split, **settings), folder=str(home))],
        table=str(table.path),
        table_sha256=table.sha256,
        facts=table.facts,
        cache_folder=str(table.folder),
        device="cpu",
        threads=threads,
    )
    begun, learner = time.perf_counter(), ""
    for message in run(task, lambda _: False):
        if isinstance(message, PhaseChanged) and message.resolved is not None:
            resolved = message.resolved.learner
            learner = f"{resolved.kind} {getattr(resolved, 'numeric_embedding', '')}".rstrip()
        if isinstance(message, Succeeded):
            return _outcome(message.evaluation, time.perf_counter() - begun, learner)
        if isinstance(message, Failed):
            raise RuntimeError(f"{table.name}, split {split}: {message.detail}")
    raise RuntimeError(f"{table.name}, split {split}: training ended without a word")


def _outcome(evaluation: Evaluation, seconds: float, learner: str) -> Outcome:
    metrics, ways = evaluation.splits["test"].metrics, evaluation.calibration.candidates
    average_precision = metrics["average_precision"].value
    assert average_precision is not None
    return Outcome(
        average_precision=average_precision,
        seconds=seconds,
        raw=next((_log_loss(way) for way in ways if way.kind == "raw"), None),
        platt=next((_log_loss(way) for way in ways if way.method == "platt"), None),
        final=metrics["log_loss"].value,
        learner=learner,
    )


def _log_loss(way: CalibrationCandidate) -> float | None:
    return None if way.test is None else way.test.log_loss
