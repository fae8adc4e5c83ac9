"""All metrics of one part of the rows: as points, as bootstrap draws of them, and as both together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.evaluation import MacroOverPresent, Metric
from counterweight.contracts.studies import OVER_CLASSES
from counterweight.statistics import bootstrap, decisions, exact
from counterweight.statistics.binning import equal_mass
from workers.training import intervals, metrics
from workers.training.ranking import Ranking, average_precision, ranked, roc_auc
from workers.training.reliability import bins_of, error_draws
from workers.training.subject import Floats, Ints, Judged, Subject


@dataclass(frozen=True)
class Measures:
    """What is measured of a part: of the whole, of each class against the rest, and averages over the classes that have rows."""

    whole: dict[str, Metric]
    of_classes: list[dict[str, Metric]]
    macro_over_present: MacroOverPresent | None


def measure(subject: Subject, judged: Judged) -> Measures:
    """Return every metric of a part, with its interval."""
    counts = np.bincount(judged.labels, minlength=len(subject.classes))
    rest = len(judged.labels) - counts
    points, draws = _class_points(subject, judged), _class_draws(subject, judged, counts)
    cells = metrics.confusion(judged.labels, judged.decisions, len(counts))
    of_classes = [
        _finish(point, draw, subject, int(smallest), exact.of_class(cells, index))
        for index, (point, draw, smallest) in enumerate(zip(points, draws, np.minimum(counts, rest), strict=True))
    ]
    smallest = int(counts.min())
    whole = _finish(_whole_points(subject, judged), _whole_draws(subject, judged), subject, smallest, exact.of_all(cells))
    if subject.positive is not None:
        return Measures(of_classes[subject.positive] | whole, of_classes, None)
    everywhere = np.arange(len(counts))
    macro = _finish(_macro_points(subject, points, everywhere), _macro_draws(draws, everywhere), subject, smallest, {})
    return Measures(macro | whole, of_classes, _over_present(subject, points, draws, counts))


def constant(subject: Subject, judged: Judged) -> dict[str, Metric]:
    """Return the metrics, without intervals, of always predicting the classes' shares of the training rows."""
    rows = len(judged.labels)
    always = replace(
        judged,
        log_p=np.log(np.tile(subject.shares, (rows, 1))),
        decisions=np.full(rows, int(np.argmax(subject.shares))),
    )
    points, whole = _class_points(subject, always), _whole_points(subject, always)
    if subject.positive is not None:
        return points[subject.positive] | whole
    return _macro_points(subject, points, np.arange(len(subject.classes))) | whole


def _finish(
    points: Mapping[str, Metric],
    draws: Mapping[str, Floats],
    subject: Subject,
    smallest: int,
    limits: Mapping[str, exact.Exact],
) -> dict[str, Metric]:
    confidence = subject.options.confidence
    return {name: bootstrap.with_interval(point, draws[name], confidence, smallest, limits.get(name)) for name, point in points.items()}


def _class_points(subject: Subject, judged: Judged) -> list[dict[str, Metric]]:
    cells = metrics.confusion(judged.labels, judged.decisions, len(subject.classes))
    values, present = decisions.class_metrics(cells), cells.sum(axis=1) > 0
    found = []
    for index, ranking in enumerate(_rankings(judged)):
        points = decisions.points({name: value[index] for name, value in values.items()}, decisions.one_against_rest(cells, index))
        if subject.positive is None and not present[index]:
            # One of several classes is not judged by the other classes' rows alone; of two classes it is, for want of anything else.
            points |= dict.fromkeys(("f1", "precision", "recall"), Metric(value=None, reason="no_positive"))
        found.append({"average_precision": average_precision(ranking), "roc_auc": roc_auc(ranking)} | points)
    return found


def _class_draws(subject: Subject, judged: Judged, counts: Ints) -> list[dict[str, Floats]]:
    """Return the draws of `_class_points`; with several classes one row weighs the same for all of them."""
    cells = metrics.confusion(judged.labels, judged.decisions, len(subject.classes))
    of_cells = bootstrap.of_cells(cells, decisions.class_metrics)
    rankings, source = _rankings(judged), bootstrap.generator()
    present = np.flatnonzero(counts)
    if subject.positive is None:
        truths = [judged.labels == index for index in present]
        ranked_draws = intervals.joint_ranking_draws([rankings[index] for index in present], truths, source)
    else:
        pairs = [intervals.ranking_draws(rankings[index], source) for index in present]
        ranked_draws = np.stack([pair[0] for pair in pairs], axis=1), np.stack([pair[1] for pair in pairs], axis=1)
    found = [{name: draws[:, index] for name, draws in of_cells.items()} for index in range(len(counts))]
    nothing = np.full(bootstrap.DRAWS, np.nan)
    for name, draws in zip(("average_precision", "roc_auc"), ranked_draws, strict=True):
        for index, of_class in enumerate(found):
            of_class[name] = draws[:, int(np.searchsorted(present, index))] if counts[index] else nothing
    return found


def _whole_points(subject: Subject, judged: Judged) -> dict[str, Metric]:
    cells = metrics.confusion(judged.labels, judged.decisions, len(subject.classes))
    values = {"log_loss": metrics.log_losses(judged.log_p, judged.labels).mean()}
    values["brier"] = metrics.brier_scores(judged.log_p, judged.labels, subject.positive).mean()
    foretold, came_true = forecast(subject, judged.log_p, judged.labels)
    values["ece"] = np.float64(bins_of(foretold, came_true, equal_mass(foretold)).error)
    values |= decisions.decision_metrics(cells)
    if subject.positive is not None:
        return decisions.points(values, decisions.one_against_rest(cells, subject.positive))
    return {name: decisions.point(value, decisions.absent_reason(cells, subject.classes)) for name, value in values.items()}


def _whole_draws(subject: Subject, judged: Judged) -> dict[str, Floats]:
    cells, source = metrics.confusion(judged.labels, judged.decisions, len(subject.classes)), bootstrap.generator()
    foretold, came_true = forecast(subject, judged.log_p, judged.labels)
    return {
        "log_loss": intervals.mean_draws(metrics.log_losses(judged.log_p, judged.labels), source),
        "brier": intervals.mean_draws(metrics.brier_scores(judged.log_p, judged.labels, subject.positive), source),
        "ece": error_draws(foretold, came_true, equal_mass(foretold), source),
    } | bootstrap.of_cells(cells, decisions.decision_metrics)


def _macro_points(subject: Subject, points: Sequence[Mapping[str, Metric]], over: Ints) -> dict[str, Metric]:
    return {title: _mean([(subject.classes[index], points[index][name]) for index in over]) for name, title in OVER_CLASSES.items()}


def _mean(of_classes: Sequence[tuple[str, Metric]]) -> Metric:
    """Return the plain mean; null, with the reason of the first class that has no value."""
    for label, metric in of_classes:
        if metric.value is None:
            return Metric(value=None, reason=f"class_absent:{label}" if metric.reason == "no_positive" else metric.reason)
    return Metric(value=float(np.mean([metric.value for _, metric in of_classes])))


def _macro_draws(draws: Sequence[Mapping[str, Floats]], over: Ints) -> dict[str, Floats]:
    return {title: np.mean([draws[index][name] for index in over], axis=0) for name, title in OVER_CLASSES.items()}


def _over_present(
    subject: Subject, points: Sequence[Mapping[str, Metric]], draws: Sequence[Mapping[str, Floats]], counts: Ints
) -> MacroOverPresent | None:
    present = np.flatnonzero(counts)
    if len(present) == len(counts):
        return None
    measured = _finish(_macro_points(subject, points, present), _macro_draws(draws, present), subject, int(counts[present].min()), {})
    return MacroOverPresent(absent=[label for label, count in zip(subject.classes, counts, strict=True) if count == 0], metrics=measured)


def _rankings(judged: Judged) -> list[Ranking]:
    return [ranked(_odds(judged.log_p, index), judged.labels == index) for index in range(judged.log_p.shape[1])]


def _odds(log_p: Floats, index: int) -> Floats:
    """Return scores that rank rows as the probability of a class does, without ties where it rounds to 1."""
    return log_p[:, index] - log_p[:, 1 - index] if log_p.shape[1] == 2 else log_p[:, index]


def forecast(subject: Subject, log_p: Floats, labels: Ints) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the probability that calibration is about, and whether it came true: of the positive class, or of the likeliest of several."""
    if subject.positive is not None:
        return np.exp(log_p[:, subject.positive]), labels == subject.positive
    return np.exp(log_p.max(axis=1)), log_p.argmax(axis=1) == labels
