"""The end of a member's training: it is evaluated, and its model and predictions are written."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterweight.contracts.evaluation import Evaluation
from counterweight.contracts.messages import Cancelled, Member, PhaseChanged, StoredFile, Succeeded, TrainerMessage, TrainerTask
from counterweight.contracts.splits import Part
from counterweight.statistics.operating import JudgedPart
from workers.training.cohort import Cohort
from workers.training.evaluation import Outcome, evaluate
from workers.training.files import store
from workers.training.forward import all_logits
from workers.training.happenings import Trained
from workers.training.model import Model, ModelDescription, describe_terms, export_model
from workers.training.predictions import prediction_files
from workers.training.requested import Sources, with_requested
from workers.training.rows import Rows
from workers.training.subject import Scored, Subject
from workers.training.telling import Telling


def finish(
    task: TrainerTask,
    member: Member,
    first: Trained,
    trained: Trained,
    cohort: Cohort,
    parts: Mapping[Part, Rows],
    telling: Telling,
    is_cancelled: Callable[[str], bool],
) -> Iterator[TrainerMessage]:
    """Evaluate and export one member: `first` is judged on validation rows, and `trained`, the same or refitted, tested and kept.

    Diverged when an output for one of these rows is not finite.
    """
    subject = replace(cohort.subject(member.spec), terms=first.terms, refitted_terms=None if first is trained else trained.terms)
    notes = cohort.notes(member.spec) + cohort.ending_notes(member.spec, first)
    resolved = cohort.resolved(member.spec, torch.get_num_threads()).model_copy(update={"notes": notes})
    yield PhaseChanged(job_id=member.job_id, phase="evaluating", resolved=resolved)

    def logits(parameters: Tensor, features: Tensor) -> NDArray[np.float64]:
        return all_logits(cohort.network, parameters, features)[0].cpu().double().numpy()

    def scored(part: JudgedPart, judge: Trained) -> Scored:
        rows = cohort.prepared.rows[cohort.prepared.span(part)].numpy()
        return Scored.of(logits(judge.parameters, parts[part].features), parts[part].labels.cpu().numpy(), rows)

    outcome = evaluate(subject, scored("validation", first), scored("test", trained))
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
    files = _written(member, trained, cohort, subject, outcome, evaluation, notes)
    yield from telling.finished(member.job_id, evaluation, files)
    yield Succeeded(job_id=member.job_id, evaluation=evaluation, files=files)


def _written(
    member: Member, trained: Trained, cohort: Cohort, subject: Subject, outcome: Outcome, evaluation: Evaluation, notes: list[str]
) -> list[StoredFile]:
    """Write the model and the predictions into the member's folder."""
    description = ModelDescription(
        target=member.spec.target,
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
    model = export_model(Model(description, trained.parameters.cpu()), folder)
    return model + store(prediction_files(subject, outcome.judged, outcome.apart), folder)
