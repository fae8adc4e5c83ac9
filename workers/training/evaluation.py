"""The evaluation of one trained model, from its logits on the validation and test rows."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import (
    Calibration,
    ClassRows,
    Confusion,
    Evaluation,
    EvaluationOptions,
    Metric,
    SplitEvaluation,
    ThresholdChoice,
)
from counterweight.contracts.terms import LossTerms
from workers.training import intervals, metrics
from workers.training.correction import corrected_log_probabilities, raw_log_probabilities
from workers.training.curves import class_curves
from workers.training.ranking import Ranking, average_precision, ranked, roc_auc
from workers.training.reliability import bins_of, equal_mass, error_draws
from workers.training.threshold import BAYES, choose_threshold

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """What is evaluated: the classes, the positive one (two classes only), the loss's terms, the training shares, the wishes."""

    classes: tuple[str, ...]
    positive: int | None
    terms: LossTerms
    shares: tuple[float, ...]
    options: EvaluationOptions


@dataclass(frozen=True)
class Scored:
    """The rows of a part: logits (N, C) and true classes (N,)."""

    logits: NDArray[np.floating]
    labels: Ints


def evaluate(subject: Subject, validation: Scored, test: Scored) -> Evaluation:
    """Choose probabilities and threshold on the validation rows, then measure both parts with them."""
    calibration = _calibration(subject, validation)
    probabilities = {
        part: _log_probabilities(subject, scored, calibration.chosen) for part, scored in (("validation", validation), ("test", test))
    }
    threshold = _threshold(subject, probabilities["validation"], validation.labels)
    return Evaluation(
        splits={
            "validation": _split(subject, probabilities["validation"], validation.labels, threshold),
            "test": _split(subject, probabilities["test"], test.labels, threshold),
        },
        threshold=threshold,
        calibration=calibration,
    )


def _log_probabilities(subject: Subject, scored: Scored, chosen: Literal["raw", "corrected"]) -> Floats:
    convert = raw_log_probabilities if chosen == "raw" else corrected_log_probabilities
    return convert(scored.logits.astype(np.float64), subject.terms)


def _calibration(subject: Subject, validation: Scored) -> Calibration:
    """Compare raw and corrected probabilities on the validation rows; raw stays where the correction gains nothing."""
    figures = {}
    kinds: tuple[Literal["raw", "corrected"], ...] = ("raw", "corrected")
    for kind in kinds:
        log_p = _log_probabilities(subject, validation, kind)
        figures[kind] = {
            "log_loss": float(metrics.log_losses(log_p, validation.labels).mean()),
            "brier": float(metrics.brier_scores(log_p, validation.labels, subject.positive).mean()),
        }
    weights = {f"weight:{label}": weight for label, weight in zip(subject.classes, subject.terms.weights, strict=True)}
    shifts = {f"shift:{label}": shift for label, shift in zip(subject.classes, subject.terms.shift, strict=True)}
    return Calibration(
        parameters={"gamma": subject.terms.gamma, **weights, **shifts},
        before=figures["raw"],
        after=figures["corrected"],
        chosen="corrected" if figures["corrected"]["log_loss"] < figures["raw"]["log_loss"] else "raw",
    )


def _threshold(subject: Subject, log_p: Floats, labels: Ints) -> ThresholdChoice:
    if subject.positive is None:
        return ThresholdChoice(policy=subject.options.threshold.policy, value=None, reason="several_classes")
    scores = np.exp(log_p[:, subject.positive])
    return choose_threshold(ranked(scores, labels == subject.positive), subject.options.threshold)


def _split(subject: Subject, log_p: Floats, labels: Ints, threshold: ThresholdChoice) -> SplitEvaluation:
    counts = np.bincount(labels, minlength=len(subject.classes))
    rankings = [ranked(_odds(log_p, index), labels == index) for index in range(len(subject.classes))]
    cells = metrics.confusion(labels, _decisions(subject, log_p, threshold), len(subject.classes))
    curves = [class_curves(np.exp(log_p[:, index]), labels == index) for index in range(len(subject.classes))]
    of_rankings, of_classes = _ranking_metrics(subject, rankings, labels, counts)
    return SplitEvaluation(
        rows=len(labels),
        classes=[
            ClassRows(label=label, count=int(count), fraction=float(count / len(labels)))
            for label, count in zip(subject.classes, counts, strict=True)
        ],
        metrics=of_rankings | _probability_metrics(subject, log_p, labels, counts) | _decision_metrics(subject, cells, counts),
        per_class={
            label: of_classes[index] | _class_decisions(subject, cells, index, counts) for index, label in enumerate(subject.classes)
        },
        baselines={"constant": _constant(subject, labels)},
        confusion=Confusion(labels=list(subject.classes), counts=cells.tolist()),
        curves=None if subject.positive is None else curves[subject.positive],
        class_curves=dict(zip(subject.classes, curves, strict=True)) if subject.positive is None else {},
    )


def _odds(log_p: Floats, index: int) -> Floats:
    """Return scores that rank rows as the probability of a class does, without ties where it rounds to 1."""
    return log_p[:, index] - log_p[:, 1 - index] if log_p.shape[1] == 2 else log_p[:, index]


def _decisions(subject: Subject, log_p: Floats, threshold: ThresholdChoice) -> Ints:
    """Return the class each row is called: by the threshold, 0.5 where none could be chosen, or the likeliest of several."""
    if subject.positive is None:
        return np.asarray(log_p.argmax(axis=1))
    is_called = np.exp(log_p[:, subject.positive]) >= (BAYES if threshold.value is None else threshold.value)
    return np.where(is_called, subject.positive, 1 - subject.positive)


def _ranking_metrics(
    subject: Subject, rankings: list[Ranking], labels: Ints, counts: Ints
) -> tuple[dict[str, Metric], list[dict[str, Metric]]]:
    """Return average precision and AUROC of the whole, and of each class against the rest."""
    confidence, total = subject.options.confidence, len(labels)
    points = [{"average_precision": average_precision(each), "roc_auc": roc_auc(each)} for each in rankings]
    enough = bool((np.minimum(counts, total - counts) >= intervals.FEWEST_ROWS).all())
    source = intervals.generator()
    if subject.positive is not None:
        draws = [intervals.ranking_draws(each, source) if enough else _no_draws() for each in rankings]
    elif (counts > 0).all():
        precision, area = intervals.joint_ranking_draws(rankings, labels, source)
        draws = list(zip(precision.T, area.T, strict=True))
    else:
        draws = [_no_draws() if count == 0 else intervals.ranking_draws(each, source) for each, count in zip(rankings, counts, strict=True)]
    of_classes = [
        {
            name: intervals.with_interval(point[name], draw, confidence, int(min(count, total - count)))
            for name, draw in zip(point, pair, strict=True)
        }
        for point, pair, count in zip(points, draws, counts, strict=True)
    ]
    if subject.positive is not None:
        return of_classes[subject.positive], of_classes
    smallest = int(np.minimum(counts, total - counts).min())
    macro = {
        title: intervals.with_interval(_mean(subject, points, name), np.mean([pair[place] for pair in draws], axis=0), confidence, smallest)
        for place, (name, title) in enumerate((("average_precision", "macro_average_precision"), ("roc_auc", "macro_roc_auc_ovr")))
    }
    return macro, of_classes


def _no_draws() -> tuple[Floats, Floats]:
    return np.full(intervals.DRAWS, np.nan), np.full(intervals.DRAWS, np.nan)


def _mean(subject: Subject, points: list[dict[str, Metric]], name: str) -> Metric:
    """Return the mean over all declared classes; null, naming the first class that has none, where one is undefined."""
    values = [point[name].value for point in points]
    for label, value in zip(subject.classes, values, strict=True):
        if value is None:
            return Metric(value=None, reason=f"class_absent:{label}")
    return Metric(value=float(np.mean([value for value in values if value is not None])))


def _probability_metrics(subject: Subject, log_p: Floats, labels: Ints, counts: Ints) -> dict[str, Metric]:
    source = intervals.generator()
    rows = {
        "log_loss": metrics.log_losses(log_p, labels),
        "brier": metrics.brier_scores(log_p, labels, subject.positive),
    }
    measured = {name: (float(values.mean()), intervals.mean_draws(values, source)) for name, values in rows.items()}
    foretold, came_true = _forecast(subject, log_p, labels)
    bins = equal_mass(foretold)
    measured["ece"] = bins_of(foretold, came_true, bins).error, error_draws(foretold, came_true, bins, source)
    return {
        name: intervals.with_interval(Metric(value=value), draws, subject.options.confidence, int(counts.min()))
        for name, (value, draws) in measured.items()
    }


def _forecast(subject: Subject, log_p: Floats, labels: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the probability that calibration is about, and whether it came true: of the positive class, or of the likeliest of several."""
    if subject.positive is not None:
        return np.exp(log_p[:, subject.positive]), labels == subject.positive
    return np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == labels


def _decision_metrics(subject: Subject, cells: Ints, counts: Ints) -> dict[str, Metric]:
    several = subject.positive is None
    ordered = cells if subject.positive is None else metrics.one_against_rest(cells, subject.positive)

    def measure(of: metrics.Cells) -> dict[str, Floats]:
        return metrics.macro_metrics(of) | metrics.decision_metrics(of) if several else metrics.binary_metrics(np.asarray(of, np.float64))

    draws = measure(intervals.cell_draws(ordered.astype(np.int64), intervals.generator()))
    points = metrics.points(measure(ordered), ordered, subject.classes)
    return {
        name: intervals.with_interval(point, draws[name], subject.options.confidence, int(counts.min())) for name, point in points.items()
    }


def _class_decisions(subject: Subject, cells: Ints, index: int, counts: Ints) -> dict[str, Metric]:
    ordered = metrics.one_against_rest(cells, index)
    draws = metrics.yes_metrics(intervals.cell_draws(ordered.astype(np.int64), intervals.generator()))
    points = metrics.points(metrics.yes_metrics(ordered), ordered, subject.classes)
    smallest = int(min(counts[index], counts.sum() - counts[index]))
    return {name: intervals.with_interval(point, draws[name], subject.options.confidence, smallest) for name, point in points.items()}


def _constant(subject: Subject, labels: Ints) -> dict[str, Metric]:
    """Return the metrics of always predicting the classes' shares of the training rows."""
    log_p = np.log(np.broadcast_to(np.asarray(subject.shares), (len(labels), len(subject.shares))))
    cells = metrics.confusion(labels, np.full(len(labels), int(np.argmax(subject.shares))), len(subject.classes))
    rankings = [ranked(np.zeros(len(labels)), labels == index) for index in range(len(subject.classes))]
    points = [{"average_precision": average_precision(each), "roc_auc": roc_auc(each)} for each in rankings]
    foretold, came_true = _forecast(subject, log_p, labels)
    probability = {
        "log_loss": Metric(value=float(metrics.log_losses(log_p, labels).mean())),
        "brier": Metric(value=float(metrics.brier_scores(log_p, labels, subject.positive).mean())),
        "ece": Metric(value=bins_of(foretold, came_true, equal_mass(foretold)).error),
    }
    if subject.positive is not None:
        ordered = metrics.one_against_rest(cells, subject.positive)
        return points[subject.positive] | probability | metrics.points(metrics.binary_metrics(ordered), ordered, subject.classes)
    macro = {
        "macro_average_precision": _mean(subject, points, "average_precision"),
        "macro_roc_auc_ovr": _mean(subject, points, "roc_auc"),
    }
    decisions = metrics.macro_metrics(cells) | metrics.decision_metrics(cells)
    return macro | probability | metrics.points(decisions, cells, subject.classes)
