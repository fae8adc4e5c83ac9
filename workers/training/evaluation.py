"""The evaluation of one trained model, from its logits on the validation and test rows."""

from dataclasses import dataclass

import numpy as np

from counterweight.contracts.evaluation import ClassRows, Confusion, Evaluation, SplitEvaluation, ThresholdChoice
from counterweight.statistics.operating import JudgedPart
from counterweight.statistics.scores import ScoreCounts
from workers.training import metrics
from workers.training.calibration import Way, calibrate
from workers.training.curves import class_curves, most_points
from workers.training.deciding import choose, decide
from workers.training.hardest import hardest_rows
from workers.training.label_errors import suspected_label_errors
from workers.training.measures import constant, measure
from workers.training.subject import Floats, Judged, Scored, Subject


@dataclass(frozen=True)
class Outcome:
    """The evaluation, the way to the probabilities it chose, both parts as they were judged, and `Choice.apart`."""

    evaluation: Evaluation
    way: Way
    judged: dict[JudgedPart, Judged]
    apart: ScoreCounts | None


def evaluate(subject: Subject, validation: Scored, test: Scored) -> Outcome:
    """Choose probabilities and threshold on the validation rows, then measure both parts with them."""
    way, calibration = calibrate(subject, validation, test)
    choice = choose(subject, way, validation)
    judged: dict[JudgedPart, Judged] = {
        "validation": _judged(subject, validation, way.validation, choice.threshold),
        "test": _judged(subject, test, way.test, choice.threshold),
    }
    evaluation = Evaluation(
        splits={part: _split(subject, part, rows) for part, rows in judged.items()},
        threshold=choice.threshold,
        calibration=calibration,
        hardest_rows=hardest_rows(subject.classes, judged),
        suspected_label_errors=suspected_label_errors(subject.classes, judged),
    )
    return Outcome(evaluation, way, judged, choice.apart)


def _judged(subject: Subject, rows: Scored, log_p: Floats, threshold: ThresholdChoice) -> Judged:
    return Judged(rows, log_p, decide(log_p, threshold, subject.classes, subject.positive))


def _split(subject: Subject, part: JudgedPart, judged: Judged) -> SplitEvaluation:
    classes, labels = subject.classes, judged.labels
    counts = np.bincount(labels, minlength=len(classes))
    measured = measure(subject, judged)
    most = most_points(len(classes))
    curves = {label: class_curves(np.exp(judged.log_p[:, index]), labels == index, most) for index, label in enumerate(classes)}
    return SplitEvaluation(
        network="refitted" if part == "test" and subject.refitted_terms is not None else "trained",
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
