"""What a job means on its dataset: every default settled, every mismatch refused before anything is queued."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from counterweight.contracts.datasets import DatasetOptions, TableFacts
from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.images import IMAGE_COLUMN
from counterweight.contracts.jobs import JobSpec, ResolvedSpec, Resources, Training
from counterweight.contracts.learners import Auto, ConcreteLearner, Linear, Tabm
from counterweight.contracts.loss_resolution import LossAnswer, LossQuestion, ResolvedLoss, resolve_loss
from counterweight.contracts.splits import ColumnSplit, column_of
from counterweight.contracts.terms import ClassCounts, LossMismatch
from service.domain.apart import check_test_dataset
from service.domain.divisions import ColumnRoles, estimate_notes, known_column, settled_split, train_counts
from service.domain.errors import Invalid
from service.domain.learners import settled_learner
from service.domain.row_weights import check_weight_column, weight_notes
from service.domain.subgroups import check_columns_told_of

SGD_LEARNING_RATE = 0.1
MOST_NUMERIC_CLASSES = 100
"""A numeric target of more distinct values is a quantity: predicting it is regression."""


@dataclass(frozen=True)
class DatasetChoices:
    """What was chosen for the dataset when it was uploaded, and holds for its jobs."""

    name: str
    exclude: Sequence[str]
    test: TableFacts | None = None
    """The facts of the dataset that brings the test rows, if one does."""
    roles: ColumnRoles = field(default_factory=ColumnRoles)

    @classmethod
    def of(cls, name: str, options: DatasetOptions, test: TableFacts | None = None) -> Self:
        """Take what the options say: columns that tell groups, times or weights are never features."""
        told = [options.group_column, options.time_column, options.weight_column]
        exclude = [*options.exclude, *(column for column in told if column is not None)]
        return cls(name, exclude, test, ColumnRoles(*told))


def settle(spec: JobSpec, facts: TableFacts, chosen: DatasetChoices) -> tuple[ResolvedSpec, ResolvedLoss]:
    """Return the job with nothing left open, and its loss in numbers; Invalid, at the field, when the job cannot be run."""
    split = settled_split(spec.split, chosen.test is not None, chosen.roles)
    spec = spec.model_copy(update={"split": split, "weight_column": spec.weight_column or chosen.roles.weight})
    target = _target(spec, facts)
    spec = spec.model_copy(update={"target": target, "exclude": _exclude(spec, facts, chosen, target)})
    learner = settled_learner(spec, facts)
    positive, counts = _classes(spec, facts)
    loss = _resolved_loss(spec, counts)
    check_columns_told_of(spec, facts, target)
    _check_resources(spec.resources)
    if chosen.test is not None:
        if spec.test_dataset_id == spec.dataset_id:
            raise Invalid.at("/test_dataset_id", "test_dataset_mismatch", "these rows are trained on; leave it out, and split divides them")
        check_test_dataset(facts, chosen.test, {target, *spec.exclude} - {*spec.evaluation.subgroups})
    # Field by field, not through a dict: what the user left out and what the defaults are has been validated already.
    settled = {
        **{field: getattr(spec, field) for field in JobSpec.model_fields},
        "name": spec.name or f"{spec.loss.kind} on {chosen.name}"[:200].rstrip(),
        "target": target,
        "learner": learner,
        "training": _training(spec.training, learner, int(counts.total)),
        "evaluation": spec.evaluation.model_copy(update={"positive_label": positive}),
    }
    return ResolvedSpec(**settled), loss


def usual(spec: ResolvedSpec, facts: TableFacts) -> ResolvedSpec:
    """Return the job as it would be if nothing had been said of its learner, its evaluation and its training.

    What of the training depends on the learner or the optimizer is as this job's own have it.
    """
    positive, counts = _classes(spec.model_copy(update={"evaluation": EvaluationOptions()}), facts)
    training = _training(Training(optimizer=spec.training.optimizer), spec.learner, int(counts.total))
    settled = {
        "learner": settled_learner(spec.model_copy(update={"learner": Auto()}), facts),
        "training": training.model_copy(update={"optimizer": Training().optimizer}),
        "evaluation": EvaluationOptions(positive_label=positive),
    }
    return spec.model_copy(update=settled)


def answer(question: LossQuestion, facts: TableFacts, chosen: DatasetChoices) -> LossAnswer:
    """Return what a job with this loss would be told of it; Invalid where the job would be."""
    has_test_dataset = not isinstance(question.split, ColumnSplit) and question.split.test == 0
    split = settled_split(question.split, has_test_dataset, chosen.roles)
    spec = JobSpec(
        dataset_id=question.dataset_id, target=question.target, loss=question.loss, split=split, weight_column=chosen.roles.weight
    )
    target = _target(spec, facts)
    positive, counts = _classes(spec, facts)
    return LossAnswer(
        **dict(_resolved_loss(spec, counts)),
        dataset_id=question.dataset_id,
        target=target,
        positive_label=positive,
        split=split,
        rows={label: int(count) for label, count in counts.by_label(counts.counts).items()},
    )


def _check_resources(resources: Resources) -> None:
    if resources.device == "cpu" and resources.min_gpu_memory_gb is not None:
        message = "a job for the processor needs no GPU memory; leave `min_gpu_memory_gb` out, or the device `auto`"
        raise Invalid.at("/resources/min_gpu_memory_gb", "invalid", message)


def _classes(spec: JobSpec, facts: TableFacts) -> tuple[str | None, ClassCounts]:
    """Return the positive label (two classes only), and the training rows of each class."""
    train = train_counts(spec, facts)
    if spec.weight_column is not None:
        check_weight_column(spec.weight_column, facts)
    positive = _positive_label(spec, facts)
    labels = tuple(train)
    return positive, ClassCounts(labels, tuple(train.values()), None if positive is None else labels.index(positive))


def _target(spec: JobSpec, facts: TableFacts) -> str:
    other = 'send POST /api/v1/datasets {"source_dataset_id": "…", "options": {"target": "…"}} with the column to predict'
    if facts.target is None:
        raise Invalid.at("/dataset_id", "target_missing", f"the dataset has no target; {other}, and use the dataset it answers")
    if spec.target not in (None, facts.target):
        message = f"the dataset's target is {facts.target!r}, not {spec.target!r}; {other}, and use the dataset it answers"
        raise Invalid.at("/target", "target_mismatch", message)
    if len(facts.classes) < 2:
        found = f"only {facts.classes[0].label!r}" if facts.classes else "no label at all"
        raise Invalid.at("/dataset_id", "single_class", f"the target {facts.target!r} holds {found}; learning needs at least two classes")
    kinds = {column.name: column.type for column in facts.columns}
    if kinds.get(facts.target) == "numeric" and len(facts.classes) > MOST_NUMERIC_CLASSES:
        message = (
            f"the target {facts.target!r} holds {len(facts.classes)} different numbers: that is regression, and this service classifies"
        )
        raise Invalid.at("/dataset_id", "target_continuous", f"{message}; choose a target of classes: {other}")
    return facts.target


def _positive_label(spec: JobSpec, facts: TableFacts) -> str | None:
    """Return whom binary metrics are about; None when there are more classes than two."""
    labels = [share.label for share in facts.classes]
    wanted = spec.evaluation.positive_label
    if wanted is None:
        return facts.positive_label if len(labels) == 2 else None
    if len(labels) > 2:
        message = f"a positive label is for two classes, and there are {len(labels)}; leave it out"
        raise Invalid.at("/evaluation/positive_label", "positive_label_not_binary", message)
    if wanted not in labels:
        message = f"{wanted!r} is not a class; choose {labels[0]!r} or {labels[1]!r}"
        raise Invalid.at("/evaluation/positive_label", "positive_label_unknown", message)
    return wanted


def _resolved_loss(spec: JobSpec, counts: ClassCounts) -> ResolvedLoss:
    if spec.loss.has_cosine_head and isinstance(spec.learner, Linear):
        message = (
            f"{spec.loss.kind} compares directions of learnt features, and a linear learner learns none; choose mlp, tabm or another loss"
        )
        raise Invalid.at("/learner", "loss_mismatch", message)
    try:
        loss = resolve_loss(spec.loss, counts)
    except LossMismatch as mismatch:
        raise Invalid.at(mismatch.pointer, "loss_mismatch", str(mismatch)) from mismatch
    return loss.model_copy(update={"notes": [*loss.notes, *estimate_notes(spec), *weight_notes(spec.weight_column)]})


def _exclude(spec: JobSpec, facts: TableFacts, chosen: DatasetChoices, target: str) -> list[str]:
    """Return the columns that are no features: the dataset's, the job's, and those that divide the rows or weigh them."""
    names = [column.name for column in facts.columns]
    for index, name in enumerate(spec.exclude):
        known_column(name, facts, f"/exclude/{index}")
        if name == target:
            raise Invalid.at(
                f"/exclude/{index}", "target_excluded", f"{name!r} is the target; it is never a feature and cannot be excluded"
            )
    used = [column for column in (column_of(spec.split), spec.weight_column) if column is not None]
    beside = [name for name in names if name not in (IMAGE_COLUMN, target)] if facts.kind == "image" else []
    excluded = list(dict.fromkeys([*chosen.exclude, *spec.exclude, *used, *beside]))
    if not set(names) - {target, *excluded}:
        raise Invalid.at("/exclude", "no_features", "no column is left to learn from; exclude fewer")
    return excluded


def _training(told: Training, learner: ConcreteLearner, rows: int) -> Training:
    """Return the training's settings with what depends on the learner, on the training rows, or on another setting, filled in."""
    after: dict[str, object] = {"batch_size": told.batch_size or _batch_size(rows)}
    if told.optimizer == "sgd" and "learning_rate" not in told.model_fields_set:
        after["learning_rate"] = SGD_LEARNING_RATE
    stopping = told.early_stopping
    # A mean of many voices ranks as well where its log-loss is least, and its probabilities are then worth more (docs/learners.md).
    if isinstance(learner, Tabm) and stopping is not None and "metric" not in stopping.model_fields_set:
        after["early_stopping"] = stopping.model_copy(update={"metric": "log_loss"})
    return told.model_copy(update=after)


def _batch_size(rows: int) -> int:
    return min(256, max(32, rows // 50))
