"""Jobs that train together: what they share, and how each one trains."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from counterweight.contracts.cohorts import shared_settings
from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import EarlyStopping, Environment, Resolved, ResolvedSpec
from counterweight.contracts.loss_resolution import ResolvedLoss, initial_logits, resolve_loss
from counterweight.contracts.splits import PARTS
from counterweight.contracts.terms import ClassCounts, LossMismatch
from workers.training.architectures import AnyNetwork, network_of
from workers.training.errors import UnusableData
from workers.training.happenings import Trained
from workers.training.pace import Pace, batch_rows
from workers.training.pilot import Settled, settle
from workers.training.population import Plan
from workers.training.precision import note_on_slow, precision_of
from workers.training.prepared import Prepared
from workers.training.subject import Subject
from workers.training.validation import FEWEST_STOPPING_ROWS


@dataclass(frozen=True)
class Cohort:
    """The learner with its network, and the pace, that all members share. `learnt` are the prepared rows that are trained on.

    Each of the `ranks` takes a share of every batch. With a `micro_batch` it takes no more rows at once: memory is too little for all.
    """

    prepared: Prepared
    facts: TableFacts
    settled: Settled
    network: AnyNetwork
    pace: Pace
    device: torch.device
    members: int
    learnt: slice
    ranks: int = 1
    micro_batch: int | None = None

    def loss(self, spec: ResolvedSpec) -> ResolvedLoss:
        """Return what a job's loss comes to on the training rows that there are; UnusableData where it does not fit them."""
        try:
            return resolve_loss(spec.loss, self._counts(spec))
        except LossMismatch as mismatch:
            raise UnusableData(str(mismatch), "another loss, or other weights") from mismatch

    def plan(self, spec: ResolvedSpec) -> Plan:
        """Return how a job trains."""
        subject, counts = self.subject(spec), self._counts(spec)
        return Plan(
            terms=subject.terms,
            bias=tuple(initial_logits(spec.loss, counts)),
            learning_rate=spec.training.learning_rate,
            weight_decay=spec.training.weight_decay,
            ema=spec.training.ema,
            seed=spec.training.seed,
            stopping=self._stopping(spec),
            positive=subject.positive,
            optimizer=spec.training.optimizer,
            deferred=spec.loss.deferred_terms(counts),
        )

    def subject(self, spec: ResolvedSpec) -> Subject:
        """Return what of a job its evaluation needs to know."""
        counts, rows = self._counts(spec), self.prepared.class_counts("train")
        # Evaluation counts every row once, and so does the constant prediction that it is compared with.
        shares = tuple(count / sum(rows) for count in rows)
        return Subject(counts.labels, counts.positive, spec.loss.terms(counts), shares, spec.evaluation)

    def _counts(self, spec: ResolvedSpec) -> ClassCounts:
        classes = self.prepared.classes
        positive = _positive(classes, spec.evaluation.positive_label or self.facts.positive_label)
        return ClassCounts(classes, self.prepared.class_weights(self.learnt), positive)

    def notes(self, spec: ResolvedSpec) -> list[str]:
        """Return what training decided that a user may not expect."""
        notes = list(self.prepared.notes)
        if spec.weight_column is not None:
            notes.append(f"training counts rows by {spec.weight_column!r}; calibration, threshold and metrics count each row once")
        for part in PARTS[1:]:
            absent = [label for label, rows in zip(self.prepared.classes, self.prepared.class_counts(part), strict=True) if rows == 0]
            if absent:
                notes.append(f"no {part} row is of class {', '.join(map(repr, absent))}: what needs one is null")
        asked = spec.training.early_stopping
        if asked is not None and asked != self._stopping(spec):
            notes.append(f"stopped by log_loss instead of average_precision: a class has under {FEWEST_STOPPING_ROWS} validation rows")
        slow = note_on_slow(spec.training.precision, self.device)
        notes += [] if slow is None else [slow]
        notes += [] if self.micro_batch is None else [note_on_parts(self.pace.batch_size, self.micro_batch)]
        # A network with buffers looks at its batch as a whole.
        if (self.ranks > 1 or self.micro_batch is not None) and any(block.role == "buffer" for block in self.network.blocks):
            notes.append("batch norms see a part of each batch at a time: the result is not that of whole batches on one device")
        return notes if self.settled.choice is None else [*notes, self.settled.choice.note]

    def ending_notes(self, spec: ResolvedSpec, trained: Trained) -> list[str]:
        """Return what the end of training decided that a user may not expect."""
        notes = []
        if spec.loss.deferred_terms(self._counts(spec)) not in (None, trained.terms):
            notes.append(f"epoch {trained.best_epoch} was the best, before the re-weighting of the classes")
        if spec.training.refit:
            notes.append(
                f"trained again for {trained.best_epoch} epochs on training and validation rows: the model and the test part of the "
                "evaluation are that network's, the validation part is that of the one before"
            )
        return notes

    def resolved(self, spec: ResolvedSpec, threads: int) -> Resolved:
        """Return what only training could choose."""
        is_cuda = self.device.type == "cuda"
        return Resolved(
            learner=self.settled.learner,
            early_stopping=self._stopping(spec),
            device=str(self.device),
            precision=self.pace.precision,
            cohort_size=self.members,
            ranks=self.ranks,
            micro_batch=self.micro_batch,
            notes=self.notes(spec),
            environment=Environment(
                python=platform.python_version(),
                torch=torch.__version__,
                device_name=torch.cuda.get_device_name(self.device) if is_cuda else platform.processor() or platform.machine(),
                threads=threads,
            ),
        )

    def _stopping(self, spec: ResolvedSpec) -> EarlyStopping | None:
        """Return the early stopping asked for, by log-loss where too few rows of a class are there to rank."""
        asked = spec.training.early_stopping
        if asked is None or min(self.prepared.class_counts("validation")) >= FEWEST_STOPPING_ROWS:
            return asked
        return asked.model_copy(update={"metric": "log_loss"})


def form_cohort(prepared: Prepared, facts: TableFacts, specs: Sequence[ResolvedSpec], device: torch.device, cache_folder: Path) -> Cohort:
    """Return the cohort of these jobs; ValueError when they cannot share one program."""
    first = specs[0]
    if any(shared_settings(spec) != shared_settings(first) for spec in specs):
        raise ValueError("members of a cohort must share target, columns, split, learner, kind of head, batch size, epochs and schedule")
    rows, settled = prepared.part_rows[0], settle(first.learner, prepared, cache_folder)
    batch_size = min(rows, first.training.batch_size or batch_rows(rows))
    return Cohort(
        prepared=prepared,
        facts=facts,
        settled=settled,
        network=network_of(settled.learner, prepared.encoding, settled.edges, len(prepared.classes), cosine=first.loss.has_cosine_head),
        pace=Pace(
            epochs=first.training.max_epochs,
            batch_size=batch_size,
            schedule=first.training.schedule,
            precision=precision_of(first.training.precision, device, batch_size),
        ),
        device=device,
        members=len(specs),
        learnt=prepared.span("train"),
    )


def note_on_parts(batch: int, micro_batch: int) -> str:
    """Return what an owner should know whose batches do not fit into memory."""
    return (
        f"too little memory for a batch of {batch} rows at once: it is taken in parts of up to {micro_batch}, whose gradients are added up"
    )


def _positive(classes: tuple[str, ...], label: str | None) -> int | None:
    """Return the positive class of two; None with several."""
    if len(classes) > 2:
        return None
    if label not in classes:
        raise UnusableData(f"positive label {label!r} is not one of the classes {list(classes)}", "name one of them")
    return classes.index(label)
