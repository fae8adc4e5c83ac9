"""A whole training run: from a task to its messages. No database, no pipe: whoever runs it passes the messages on."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterweight.contracts.messages import (
    Cancelled,
    Checkpointed,
    CheckpointFile,
    EpochDone,
    Failed,
    LastWord,
    Left,
    Member,
    PhaseChanged,
    Resumed,
    Split,
    Succeeded,
    TrainerMessage,
    TrainerTask,
)
from counterweight.contracts.splits import PARTS, Part
from counterweight.statistics.operating import JudgedPart
from workers.training import checkpoints
from workers.training.checkpoints import Checkpoint, Passenger
from workers.training.cohort import Cohort, form_cohort
from workers.training.errors import Diverged, OutOfMemory, TooLarge, TrainingError, lacks_memory
from workers.training.evaluation import evaluate
from workers.training.files import store
from workers.training.loop import Deferred, Departed, Epoch, Event, Halved, Kept, Lost, Trained, Withdrawn, all_logits, train
from workers.training.model import Model, ModelDescription, describe_terms, export_model
from workers.training.population import Plan
from workers.training.predictions import prediction_files
from workers.training.prepared import Prepared, TableFile, prepare
from workers.training.products import use_tensor_cores, use_widest_products
from workers.training.ranks import ALONE, Ranks
from workers.training.refitting import refit
from workers.training.requested import Sources, with_requested
from workers.training.rows import Rows
from workers.training.saving import NEVER, Keeping
from workers.training.subject import Scored
from workers.training.telling import Telling


def run(
    task: TrainerTask,
    is_cancelled: Callable[[str], bool],
    clock: Callable[[], float] = time,
    is_leaving: Callable[[str], bool] = lambda _: False,
    ranks: Ranks = ALONE,
) -> Iterator[TrainerMessage]:
    """Train the task's members together; yield what happens to each.

    Every member ends with `Succeeded`, `Failed` (its owner can mend it), `Cancelled` (`is_cancelled(job_id)` turned true) or, after a
    checkpoint to go on from, `Left` (`is_leaving(job_id)` did, while it trained). Anything else that goes wrong is raised: the caller's
    process is then of no more use.

    Among several `ranks` each process runs the task, on the device that its own task names. The first one writes all files, heeds what
    is asked of the members, and its messages are the ones that count: it alone evaluates what was trained, and the others end before.
    """
    unfinished = {member.job_id for member in task.members}
    try:
        for message in _run(task, is_cancelled, clock, is_leaving, ranks):
            if isinstance(message, LastWord):
                unfinished.discard(message.job_id)
            yield message
    except (TrainingError, MemoryError, RuntimeError) as trouble:
        error = trouble if isinstance(trouble, TrainingError) else _out_of_memory(trouble, task.device)
        # What the first rank does not meet as well, it cannot tell.
        is_met_by_all = ranks.is_first or isinstance(trouble, TrainingError | TooLarge)
        if error is None or not is_met_by_all:
            raise
        for job_id in sorted(unfinished):
            is_for_fewer = isinstance(error, OutOfMemory) and len(task.members) > 1
            yield Split(job_id=job_id, detail=str(error)) if is_for_fewer else _failed(job_id, error)


def _run(
    task: TrainerTask, is_cancelled: Callable[[str], bool], clock: Callable[[], float], is_leaving: Callable[[str], bool], ranks: Ranks
) -> Iterator[TrainerMessage]:
    device = _settle_device(task)
    for member in task.members:
        yield PhaseChanged(job_id=member.job_id, phase="loading")
    # What comes of it is kept on the disk: the others find it there, and so do later jobs.
    prepared, cohort = ranks.after_first(lambda: _formed(task, device, ranks.size))
    losses = [cohort.loss(member.spec) for member in task.members]
    kept_in, checkpoint = _newest(task, str(cohort.network), ranks)
    # All who were there when the checkpoint was made, also those that have ended since: the others' places are counted by them.
    everyone = [Passenger.model_validate(member) for member in task.members] if checkpoint is None else checkpoint.facts.members
    here = {member.job_id: member for member in task.members}
    specs = [one.spec for one in everyone]
    plans = [cohort.plan(spec) for spec in specs]
    if checkpoint is not None:
        cohort = replace(cohort, micro_batch=checkpoint.facts.standing.micro_batch)
    telling = Telling(cohort.pace.epochs, clock)
    for member, loss in zip(task.members, losses, strict=True):
        resolved = cohort.resolved(member.spec, task.threads)
        yield PhaseChanged(job_id=member.job_id, phase="training", resolved=resolved, loss=loss)
        yield from telling.beginning(member.job_id, resolved, prepared, cohort.settled.choice)
        if task.checkpoints:
            yield Resumed(job_id=member.job_id, checkpoint_id=None if kept_in is None else kept_in.id)
            yield from telling.resuming(member.job_id, None if checkpoint is None else checkpoint.facts)
    spans: dict[Part, slice] = {part: prepared.span(part) for part in PARTS}
    features, labels = prepared.features.to(device), prepared.labels.to(device)
    parts = {part: Rows(features[span], labels[span]) for part, span in spans.items()}
    learnt, both = (Rows(features[span], labels[span], prepared.row_weights(span)) for span in (spans["train"], prepared.span_of_both))
    # Those that are to be trained again, each with what its first training came to.
    held = {} if checkpoint is None else _held(checkpoint, plans, device)
    saved, is_again = (None, False) if checkpoint is None else (checkpoint.saved, checkpoint.facts.is_again)
    written = 0

    def member_is_cancelled(index: int) -> bool:
        job_id = everyone[index].job_id
        return job_id not in here or is_cancelled(job_id)

    keeping = NEVER
    if task.checkpoint_folder is not None:
        keeping = Keeping(task.checkpoint_s, lambda index: is_leaving(everyone[index].job_id))

    def events() -> Iterator[Event]:
        if not is_again:
            rows = learnt, parts["validation"]
            yield from train(cohort.network, plans, cohort.pace, *rows, member_is_cancelled, keeping, saved, ranks=ranks)
        if held:
            yield from refit(cohort, specs, held, both, member_is_cancelled, keeping, saved if is_again else None, ranks)

    for event in events():
        if isinstance(event, Kept):
            if not ranks.is_first:
                continue
            written += 1
            try:
                yield _written(task, written, str(cohort.network), everyone, event, held)
            except OSError as error:  # a full disk, say: what is lost is only the way back to here
                yield from telling.unkept(here, error)
            continue
        if everyone[event.member].job_id not in here:
            continue
        member, first = here[everyone[event.member].job_id], held.get(event.member)
        match event:
            case Epoch() if first is not None:
                yield _epoch_done(member.job_id, event, first.best_epoch, clock())
            case Epoch():
                yield _epoch_done(member.job_id, event, cohort.pace.epochs, clock())
                yield from telling.epoch(member.job_id, event)
            case Deferred():
                yield from telling.deferred(member.job_id, event.epoch)
            case Withdrawn():
                yield Cancelled(job_id=member.job_id)
            case Departed():
                yield Left(job_id=member.job_id)
            case Lost():
                yield _failed(member.job_id, event.error)
            case Halved():
                cohort = replace(cohort, micro_batch=event.micro_batch)
                yield PhaseChanged(job_id=member.job_id, phase="training", resolved=cohort.resolved(member.spec, task.threads))
                yield from telling.halved(member.job_id, event.micro_batch)
            # While it waited for the evaluation of others.
            case Trained() if ranks.told(partial(is_cancelled, member.job_id)):
                yield Cancelled(job_id=member.job_id)
            case Trained() if member.spec.training.refit and first is None:
                held[event.member] = event
                yield from telling.trained(member.job_id, event.best_epoch)
                yield from telling.refitting(member.job_id, sum(prepared.part_rows[:2]), event.best_epoch)
            case Trained() if ranks.is_first:
                if first is None:
                    yield from telling.trained(member.job_id, event.best_epoch)
                try:
                    yield from _finish(task, member, first or event, event, cohort, parts, telling, is_cancelled)
                except Diverged as error:  # on rows it has not trained on; the other members go on
                    yield _failed(member.job_id, error)


def _formed(task: TrainerTask, device: torch.device, ranks: int) -> tuple[Prepared, Cohort]:
    file, specs, cache = TableFile(Path(task.table), task.table_sha256), [member.spec for member in task.members], Path(task.cache_folder)
    prepared = prepare(file, _test_file(task), task.facts, specs[0], cache, task.threads)
    return prepared, replace(form_cohort(prepared, task.facts, specs, device, cache), ranks=ranks)


def _newest(task: TrainerTask, network: str, ranks: Ranks) -> tuple[CheckpointFile, Checkpoint] | tuple[None, None]:
    """Return the first checkpoint from which all members can go on, and the file that it was in; None and None without one."""
    found: dict[int, Checkpoint] = {}

    def choose() -> int | None:
        for number, file in enumerate(task.checkpoints):
            one = checkpoints.read(file)
            if one is not None and one.facts.network == network and one.unfinished().issuperset(each.job_id for each in task.members):
                found[number] = one
                return number
        return None

    chosen = ranks.told(choose)
    if chosen is None:
        return None, None
    file = task.checkpoints[chosen]
    checkpoint = found.get(chosen) or checkpoints.read(file)
    if checkpoint is None:
        raise RuntimeError(f"rank {ranks.rank} cannot read the checkpoint that the first one goes on from")
    return file, checkpoint


def _held(checkpoint: Checkpoint, plans: Sequence[Plan], device: torch.device) -> dict[int, Trained]:
    """Return, by number, what the first training of those came to that wait to be trained again."""
    found = {}
    for one in checkpoint.facts.held:
        plan = plans[one.member]
        terms = plan.terms if one.deferred_from is None or plan.deferred is None else plan.deferred
        parameters = checkpoint.tensors[f"held.{one.member}"].to(device)
        found[one.member] = Trained(one.member, parameters, one.best_epoch, terms, one.deferred_from)
    return found


def _written(
    task: TrainerTask, number: int, network: str, everyone: list[Passenger], kept: Kept, held: Mapping[int, Trained]
) -> Checkpointed:
    """Write a checkpoint; return what to record of it."""
    assert task.checkpoint_folder is not None
    file, facts = checkpoints.write(Path(task.checkpoint_folder), number, network, everyone, kept, held)
    here = {member.job_id for member in task.members}
    return Checkpointed(job_ids=sorted(facts.unfinished() & here), file=file, step=facts.standing.steps, is_refit=facts.is_again)


def _finish(
    task: TrainerTask,
    member: Member,
    first: Trained,
    trained: Trained,
    cohort: Cohort,
    parts: Mapping[Part, Rows],
    telling: Telling,
    is_cancelled: Callable[[str], bool],
) -> Iterator[TrainerMessage]:
    """Evaluate and export one member: `first` is judged on validation rows, and `trained`, the same or refitted, tested and kept."""
    spec = member.spec
    subject = replace(cohort.subject(spec), terms=first.terms, refitted_terms=None if first is trained else trained.terms)
    notes = cohort.notes(spec) + cohort.ending_notes(spec, first)
    resolved = cohort.resolved(spec, torch.get_num_threads()).model_copy(update={"notes": notes})
    yield PhaseChanged(job_id=member.job_id, phase="evaluating", resolved=resolved)

    def logits(parameters: Tensor, features: Tensor) -> NDArray[np.float64]:
        return all_logits(cohort.network, parameters, features)[0].cpu().double().numpy()

    judges: dict[JudgedPart, Trained] = {"validation": first, "test": trained}
    scored = {
        part: Scored.of(
            logits(judge.parameters, parts[part].features),
            parts[part].labels.cpu().numpy(),
            cohort.prepared.rows[cohort.prepared.span(part)].numpy(),
        )
        for part, judge in judges.items()
    }
    outcome = evaluate(subject, scored["validation"], scored["test"])
    sources = Sources(
        tables={"validation": Path(task.table), "test": Path(task.test_table or task.table)},
        columns=task.facts.columns,
        features=parts["test"].features,
        places=cohort.prepared.encoding.places,
        logits=lambda features: logits(trained.parameters, features),
    )
    evaluation = with_requested(outcome, subject, sources, lambda: is_cancelled(member.job_id))
    if is_cancelled(member.job_id):
        yield Cancelled(job_id=member.job_id)
        return
    yield PhaseChanged(job_id=member.job_id, phase="exporting")
    description = ModelDescription(
        target=spec.target,
        classes=subject.classes,
        positive_label=None if subject.positive is None else subject.classes[subject.positive],
        network=cohort.network,
        terms=describe_terms(trained.terms),
        base=outcome.way.base,
        calibrator=outcome.way.calibrator,
        threshold=evaluation.threshold,
        encoding=cohort.prepared.encoding,
        best_epoch=trained.best_epoch,
        notes=notes,
    )
    folder = Path(member.folder)
    files = export_model(Model(description, trained.parameters.cpu()), folder) + store(
        prediction_files(subject, outcome.judged, outcome.apart), folder
    )
    yield from telling.finished(member.job_id, evaluation, files)
    yield Succeeded(job_id=member.job_id, evaluation=evaluation, files=files)


def _test_file(task: TrainerTask) -> TableFile | None:
    if task.test_table is None or task.test_table_sha256 is None:
        return None
    return TableFile(Path(task.test_table), task.test_table_sha256)


def _settle_device(task: TrainerTask) -> torch.device:
    """Set torch up for runs that repeat to the last digit: a fixed number of threads, and on a GPU only deterministic kernels."""
    torch.set_num_threads(task.threads)
    use_widest_products()
    device = torch.device(task.device)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        use_tensor_cores()
    return device


def _epoch_done(job_id: str, event: Epoch, epochs: int, now: float) -> EpochDone:
    return EpochDone(
        job_id=job_id,
        epoch=event.epoch,
        epochs=epochs,
        step=event.step,
        time=now,
        values=event.values,
        rows_per_s=event.rows_per_s,
        eta_s=event.eta_s,
    )


def _failed(job_id: str, error: TrainingError) -> Failed:
    return Failed(job_id=job_id, failure_class=error.failure_class, detail=str(error), hint=error.hint)


def _out_of_memory(trouble: Exception, device: str) -> OutOfMemory | None:
    """Return the error that tells the owner what to do, if `trouble` is a lack of memory."""
    if not lacks_memory(trouble):
        return None
    return OutOfMemory(f"{device} has too little memory for this job", "a smaller batch_size or width, or fewer columns")
