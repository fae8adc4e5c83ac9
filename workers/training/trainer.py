"""A whole training run: from a task to its messages. No database, no pipe: whoever runs it passes the messages on."""

import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time

import torch

from counterweight.contracts.jobs import EarlyStopping, Environment, Resolved, Training
from counterweight.contracts.learners import Mlp
from counterweight.contracts.losses import ClassCounts
from counterweight.contracts.messages import (
    Cancelled,
    EpochDone,
    Failed,
    Member,
    PhaseChanged,
    Succeeded,
    TrainerMessage,
    TrainerTask,
)
from workers.training.errors import OutOfMemory, TrainingError, UnusableData
from workers.training.evaluation import Scored, Subject, evaluate
from workers.training.loop import Epoch, Lost, Pace, Rows, Trained, Withdrawn, all_logits, train
from workers.training.model import Model, ModelDescription, describe_shape, describe_terms, export_model
from workers.training.networks import Pieces, Shape, network_shape, prior_bias
from workers.training.population import Plan
from workers.training.prepared import Prepared, prepare

FEWEST_STOPPING_ROWS = 30


def run(task: TrainerTask, is_cancelled: Callable[[str], bool], clock: Callable[[], float] = time) -> Iterator[TrainerMessage]:
    """Train the task's members together; yield what happens to each.

    Every member ends with `Succeeded`, `Failed` (its owner can mend it) or `Cancelled` (`is_cancelled(job_id)` turned true). Anything
    else that goes wrong is raised: the caller's process is then of no more use.
    """
    unfinished = {member.job_id for member in task.members}
    try:
        for message in _run(task, is_cancelled, clock):
            if isinstance(message, Succeeded | Failed | Cancelled):
                unfinished.discard(message.job_id)
            yield message
    except (TrainingError, MemoryError, RuntimeError) as trouble:
        error = trouble if isinstance(trouble, TrainingError) else _out_of_memory(trouble, task.device)
        if error is None:
            raise
        for job_id in sorted(unfinished):
            yield _failed(job_id, error)


def _run(task: TrainerTask, is_cancelled: Callable[[str], bool], clock: Callable[[], float]) -> Iterator[TrainerMessage]:
    device = _settled_device(task)
    for member in task.members:
        yield PhaseChanged(job_id=member.job_id, phase="loading")
    spec = task.members[0].spec
    prepared = prepare(Path(task.table), task.table_sha256, task.facts, spec, Path(task.cache_folder), task.threads)
    cohort = _Cohort(task, prepared, device)
    for member in task.members:
        yield PhaseChanged(job_id=member.job_id, phase="training", resolved=cohort.resolved(member))
    part = {name: Rows(prepared.features[span].to(device), prepared.labels[span].to(device)) for name, span in _spans(prepared).items()}
    events = train(
        cohort.shape,
        [cohort.plan(member) for member in task.members],
        cohort.pace,
        part["train"],
        part["validation"],
        cohort.pieces,
        lambda index: is_cancelled(task.members[index].job_id),
    )
    for event in events:
        member = task.members[event.member]
        match event:
            case Epoch():
                yield EpochDone(
                    job_id=member.job_id,
                    epoch=event.epoch,
                    epochs=cohort.pace.epochs,
                    step=event.step,
                    time=clock(),
                    values=event.values,
                    rows_per_s=event.rows_per_s,
                    eta_s=event.eta_s,
                )
            case Withdrawn():
                yield Cancelled(job_id=member.job_id)
            case Lost():
                yield _failed(member.job_id, event.error)
            case Trained():
                yield from cohort.finish(member, event, part, is_cancelled)
