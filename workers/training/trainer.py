"""A whole training run: from a task to its messages. No database, no pipe: whoever runs it passes the messages on."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from time import time

import torch
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
    TrainerMessage,
    TrainerTask,
)
from counterweight.contracts.splits import PARTS
from workers.training import checkpoints
from workers.training.checkpoints import Checkpoint, Passenger
from workers.training.cohort import Cohort, form_cohort
from workers.training.errors import Diverged, OutOfMemory, TooLarge, TrainingError, lacks_memory
from workers.training.finishing import finish
from workers.training.happenings import Deferred, Departed, Epoch, Event, Halved, Kept, Lost, MemberEvent, Trained, Withdrawn
from workers.training.loop import train
from workers.training.population import Plan
from workers.training.prepared import Prepared, TableFile, prepare
from workers.training.products import use_tensor_cores, use_widest_products
from workers.training.ranks import ALONE, Ranks
from workers.training.refitting import refit
from workers.training.rows import Rows
from workers.training.saving import NEVER, Keeping
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
    training = _Training(task, device, is_cancelled, clock, is_leaving, ranks)
    yield from training.begin()
    for event in training.events():
        yield from training.follow(event)


class _Training:
    """The members of a task in training."""

    def __init__(
        self,
        task: TrainerTask,
        device: torch.device,
        is_cancelled: Callable[[str], bool],
        clock: Callable[[], float],
        is_leaving: Callable[[str], bool],
        ranks: Ranks,
    ) -> None:
        self._task, self._device, self._clock, self._ranks = task, device, clock, ranks
        self._is_cancelled, self._is_leaving = is_cancelled, is_leaving
        # What comes of it is kept on the disk: the others find it there, and so do later jobs.
        self._prepared, self._cohort = ranks.after_first(lambda: _formed(task, device, ranks.size))
        self._losses = [self._cohort.loss(member.spec) for member in task.members]
        file, checkpoint = _newest(task, str(self._cohort.network), ranks)
        self._kept_in, self._checkpoint = file, checkpoint
        # All who were there when the checkpoint was made, also those that have ended since: the others' places are counted by them.
        everyone = [Passenger.model_validate(member) for member in task.members] if checkpoint is None else checkpoint.facts.members
        self._everyone, self._specs = everyone, [one.spec for one in everyone]
        self._here = {member.job_id: member for member in task.members}
        self._plans = [self._cohort.plan(spec) for spec in self._specs]
        # Those that are to be trained again, each with what its first training came to.
        self._held: dict[int, Trained] = {}
        if checkpoint is not None:
            self._cohort = replace(self._cohort, micro_batch=checkpoint.facts.standing.micro_batch)
            self._held = _held(checkpoint, self._plans, device)
        self._telling = Telling(self._cohort.pace.epochs, clock)
        self._written = 0

    def begin(self) -> Iterator[TrainerMessage]:
        """Tell each member's owner what is trained, and from where it goes on."""
        for member, loss in zip(self._task.members, self._losses, strict=True):
            resolved = self._cohort.resolved(member.spec, self._task.threads)
            yield PhaseChanged(job_id=member.job_id, phase="training", resolved=resolved, loss=loss)
            yield from self._telling.beginning(member.job_id, resolved, self._prepared, self._cohort.settled.choice)
            if self._task.checkpoints:
                yield Resumed(job_id=member.job_id, checkpoint_id=None if self._kept_in is None else self._kept_in.id)
                yield from self._telling.resuming(member.job_id, None if self._checkpoint is None else self._checkpoint.facts)

    def events(self) -> Iterator[Event]:
        """Train all members, then those again that are held for it; yield what happens, members as their places in everyone."""
        keeping, checkpoint = NEVER, self._checkpoint
        if self._task.checkpoint_folder is not None:
            keeping = Keeping(self._task.checkpoint_s, lambda place: self._is_leaving(self._everyone[place].job_id))
        saved, is_again = (None, False) if checkpoint is None else (checkpoint.saved, checkpoint.facts.is_again)
        if not is_again:
            rows = self._weighed(self._prepared.span("train")), self._rows(self._prepared.span("validation"))
            yield from train(self._cohort.network, self._plans, self._cohort.pace, *rows, self._is_gone, keeping, saved, ranks=self._ranks)
        if self._held:
            both, saved = self._weighed(self._prepared.span_of_both), saved if is_again else None
            yield from refit(self._cohort, self._specs, self._held, both, self._is_gone, keeping, saved, self._ranks)

    def follow(self, event: Event) -> Iterator[TrainerMessage]:
        """Yield what an event means to the member it is about; nothing where that one has ended since the checkpoint."""
        if isinstance(event, Kept):
            if self._ranks.is_first:
                yield from self._keep(event)
            return
        member = self._here.get(self._everyone[event.member].job_id)
        if member is not None:
            yield from self._follow(event, member)

    def _follow(self, event: MemberEvent, member: Member) -> Iterator[TrainerMessage]:
        job_id, first = member.job_id, self._held.get(event.member)
        match event:
            case Epoch():
                yield _epoch_done(job_id, event, self._cohort.pace.epochs if first is None else first.best_epoch, self._clock())
                if first is None:
                    yield from self._telling.epoch(job_id, event)
            case Deferred():
                yield from self._telling.deferred(job_id, event.epoch)
            case Withdrawn():
                yield Cancelled(job_id=job_id)
            case Departed():
                yield Left(job_id=job_id)
            case Lost():
                yield _failed(job_id, event.error)
            case Halved():
                self._cohort = replace(self._cohort, micro_batch=event.micro_batch)
                yield PhaseChanged(job_id=job_id, phase="training", resolved=self._cohort.resolved(member.spec, self._task.threads))
                yield from self._telling.halved(job_id, event.micro_batch)
            # While it waited for the evaluation of others.
            case Trained() if self._ranks.told(partial(self._is_cancelled, job_id)):
                yield Cancelled(job_id=job_id)
            case Trained() if member.spec.training.refit and first is None:
                self._held[event.member] = event
                yield from self._telling.trained(job_id, event.best_epoch)
                yield from self._telling.refitting(job_id, sum(self._prepared.part_rows[:2]), event.best_epoch)
            case Trained() if self._ranks.is_first:
                if first is None:
                    yield from self._telling.trained(job_id, event.best_epoch)
                yield from self._finish(member, first or event, event)

    def _keep(self, kept: Kept) -> Iterator[TrainerMessage]:
        assert self._task.checkpoint_folder is not None
        self._written += 1
        folder, network = Path(self._task.checkpoint_folder), str(self._cohort.network)
        try:
            file, facts = checkpoints.write(folder, self._written, network, self._everyone, kept, self._held)
        except OSError as error:  # a full disk, say: what is lost is only the way back to here
            yield from self._telling.unkept(self._here, error)
            return
        going_on = sorted(facts.unfinished() & self._here.keys())
        yield Checkpointed(job_ids=going_on, file=file, step=facts.standing.steps, is_refit=facts.is_again)

    def _finish(self, member: Member, first: Trained, trained: Trained) -> Iterator[TrainerMessage]:
        parts = {part: self._rows(self._prepared.span(part)) for part in PARTS}
        try:
            yield from finish(self._task, member, first, trained, self._cohort, parts, self._telling, self._is_cancelled)
        except Diverged as error:  # on rows it has not trained on; the other members go on
            yield _failed(member.job_id, error)

    def _is_gone(self, place: int) -> bool:
        job_id = self._everyone[place].job_id
        return job_id not in self._here or self._is_cancelled(job_id)

    @cached_property
    def _table(self) -> tuple[Tensor, Tensor]:
        """Features and labels on the device: made when training begins, so that a lack of memory is told of a job that has begun."""
        return self._prepared.features.to(self._device), self._prepared.labels.to(self._device)

    def _rows(self, span: slice) -> Rows:
        features, labels = self._table
        return Rows(features[span], labels[span])

    def _weighed(self, span: slice) -> Rows:
        return replace(self._rows(span), weights=self._prepared.row_weights(span))


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
