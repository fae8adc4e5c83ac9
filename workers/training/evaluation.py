"""The evaluation of one trained model, from its logits on the validation and test rows."""

from dataclasses import dataclass

import numpy as np

from counterweight.contracts.evaluation import ClassRows, Confusion, Evaluation, SplitEvaluation, ThresholdChoice
from counterweight.statistics.operating import JudgedPart
from counterweight.statistics.spread import choose_with_spread
from counterweight.statistics.thresholds import BAYES
from workers.training import metrics
from workers.training.calibration import Way, calibrate
from workers.training.curves import class_curves, most_points
from workers.training.hardest import hardest_rows
from workers.training.measures import constant, measure
from workers.training.ranking import ranked
from workers.training.subject import Floats, Ints, Judged, Scored, Subject


@dataclass(frozen=True)
class Outcome:
    """The evaluation, the way to the probabilities it chose, and both parts as they were judged."""

    evaluation: Evaluation
    way: Way
    judged: dict[JudgedPart, Judged]


def evaluate(subject: Subject, validation: Scored, test: Scored) -> Outcome:
    """Choose probabilities and threshold on the validation rows, then measure both parts with them."""
    way, calibration = calibrate(subject, validation, test)
    threshold = _threshold(subject, way.validation, validation.labels)
    judged: dict[JudgedPart, Judged] = {
        "validation": Judged(validation, way.validation, _decisions(subject, way.validation, threshold)),
        "test": Judged(test, way.test, _decisions(subject, way.test, threshold)),
    }
    evaluation = Evaluation(
        splits={part: _split(subject, rows) for part, rows in judged.items()},
        threshold=threshold,
        calibration=calibration,
        hardest_rows=hardest_rows(subject.classes, judged),
    )
    return Outcome(evaluation, way, judged)


def _threshold(subject: Subject, log_p: Floats, labels: Ints) -> ThresholdChoice:
    """Choose the threshold. Two classes' calibrators keep the order of rows, so that their having been fitted on these rows is no gain."""
    if subject.positive is None:
        return ThresholdChoice(policy=subject.options.threshold.policy, value=None, reason="several_classes")
    scores = np.exp(log_p[:, subject.positive])
    return choose_with_spread(ranked(scores, labels == subject.positive), subject.options.threshold, subject.options.confidence)


def _decisions(subject: Subject, log_p: Floats, threshold: ThresholdChoice) -> Ints:
    """Return the class each row is called: by the threshold, 0.5 where none could be chosen, or the likeliest of several."""
    if subject.positive is None:
        return np.asarray(log_p.argmax(axis=1))
    is_called = np.exp(log_p[:, subject.positive]) >= (BAYES if threshold.value is None else threshold.value)
    return np.where(is_called, subject.positive, 1 - subject.positive)


def _split(subject: Subject, judged: Judged) -> SplitEvaluation:
    classes, labels = subject.classes, judged.labels
    counts = np.bincount(labels, minlength=len(classes))
    measured = measure(subject, judged)
    most = most_points(len(classes))
    curves = {label: class_curves(np.exp(judged.log_p[:, index]), labels == index, most) for index, label in enumerate(classes)}
    return SplitEvaluation(
        rows=len(labels),
        classes=[
            ClassRows(label=label, count=int(count), fraction=float(count / len(labels)))
            for label, count in zip(classes, counts, strict=True)
        ],
        metrics=measured.whole,
        per_class=dict(zip(classes, measured.of_classes, strict=True)),
        baselines={"constant": constant(subject, judged)},
        macro_over_present=measured.macro_over_present,
        confusion=Confusion(labels=list(classes), counts=metrics.confusion(labels, judged.decisions, len(classes)).tolist()),
        curves=None if subject.positive is None else curves[classes[subject.positive]],
        class_curves=curves if subject.positive is None else {},
    )
