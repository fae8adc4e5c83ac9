"""Which probabilities to trust: the network's own, the corrected ones, or those of a calibrator fitted on the validation rows."""

from dataclasses import dataclass

import numpy as np

from counterweight.contracts.evaluation import Calibration, CalibrationCandidate, CalibrationFigures
from counterweight.contracts.terms import LossTerms
from counterweight.statistics.binning import equal_mass
from workers.training import metrics
from workers.training.calibrators import KINDS, Calibrator, Identity, Kind, Unfit, apply, parameters
from workers.training.correction import Base, log_probabilities
from workers.training.measures import forecast
from workers.training.reliability import bins_of
from workers.training.subject import Floats, Ints, Scored, Subject

FOLDS = 5
SEED = 0


@dataclass(frozen=True)
class Way:
    """How log-probabilities come from logits, and what the validation and the test rows' then are (N, C).

    `apart` are the validation rows' by calibrators that were fitted without them; the same as `validation` where nothing is fitted.
    """

    report: CalibrationCandidate
    base: Base
    calibrator: Calibrator
    validation: Floats
    apart: Floats
    test: Floats


def calibrate(subject: Subject, validation: Scored, test: Scored) -> tuple[Way, Calibration]:
    """Return the way of the lowest log-loss on the validation rows, the simplest of equals, and the report on all of them.

    A fitted calibrator is judged by cross-fitting, each validation row by one that was fitted without it, and so does not win by
    knowing the answers; it is then fitted on all validation rows.
    """
    raw, corrected = (_plain(subject, base, validation, test) for base in ("raw", "corrected"))
    better = raw if _log_loss(raw) <= _log_loss(corrected) else corrected
    reason = _why_unfit(subject, validation.labels)
    ways = [raw, corrected]
    refused = []
    folds = folds_of(validation)
    for kind in KINDS:
        if kind.fits_several_classes or subject.positive is not None:
            try:
                ways.append(_fitted(subject, better, kind, folds, validation, test))
            except Unfit as unfit:
                refused.append(CalibrationCandidate(kind="fitted", method=kind.method, reason=reason or str(unfit)))
    # Rows that lack a class cannot tell how probable it is: the formula is believed then, if it changes anything.
    chosen = min(ways, key=_log_loss) if reason is None or _log_loss(raw) == _log_loss(corrected) else corrected
    report = Calibration(
        chosen=chosen.report.kind,
        method=chosen.report.method,
        parameters=chosen.report.parameters,
        before=_figures_of(raw),
        after=_figures_of(chosen),
        candidates=[*(way.report for way in ways), *refused],
        reason=reason,
    )
    return chosen, report


def _plain(subject: Subject, base: Base, validation: Scored, test: Scored) -> Way:
    """Return the way that fits nothing."""
    of_validation = log_probabilities(validation.logits, subject.terms, base)
    of_test = log_probabilities(test.logits, subject.test_terms, base)
    report = CalibrationCandidate(
        kind=base,
        method="none" if base == "raw" else "analytic",
        parameters={} if base == "raw" else _terms(subject),
        validation=_figures(subject, of_validation, validation.labels),
        test=_figures(subject, of_test, test.labels),
    )
    return Way(report, base, Identity(), of_validation, of_validation, of_test)


def _fitted(subject: Subject, way: Way, kind: Kind, folds: Ints, validation: Scored, test: Scored) -> Way:
    """Return the way that goes on from another by a fitted calibrator; Unfit when the rows allow none."""
    labels, fit = validation.labels, kind.fit
    rarest = np.bincount(labels, minlength=len(subject.classes)).min()
    if len(labels) < kind.fewest_rows or rarest < kind.fewest_rows_of_a_class:
        raise Unfit("too_few")
    apart = np.empty_like(way.validation)
    for fold in range(FOLDS):
        apart[folds == fold] = apply(fit(way.validation[folds != fold], labels[folds != fold]), way.validation[folds == fold])
    calibrator = fit(way.validation, labels)
    of_test = apply(calibrator, way.test)
    report = CalibrationCandidate(
        kind="fitted",
        method=calibrator.method,
        parameters=parameters(calibrator),
        validation=_figures(subject, apart, labels),
        test=_figures(subject, of_test, test.labels),
    )
    return Way(report, way.base, calibrator, apply(calibrator, way.validation), apart, of_test)


def folds_of(scored: Scored) -> Ints:
    """Return the fold of each row: the rows of each class spread evenly, by their numbers in the dataset alone."""
    folds = np.empty(len(scored.labels), dtype=np.int64)
    by_number = np.argsort(scored.rows, kind="stable")
    for label in np.unique(scored.labels):
        rows = by_number[scored.labels[by_number] == label]
        folds[np.random.Generator(np.random.PCG64(SEED)).permutation(rows)] = np.arange(len(rows)) % FOLDS
    return folds


def _figures(subject: Subject, log_p: Floats, labels: Ints) -> CalibrationFigures:
    foretold, came_true = forecast(subject, log_p, labels)
    return CalibrationFigures(
        log_loss=float(metrics.log_losses(log_p, labels).mean()),
        brier=float(metrics.brier_scores(log_p, labels, subject.positive).mean()),
        ece=bins_of(foretold, came_true, equal_mass(foretold)).error,
    )


def _figures_of(way: Way) -> CalibrationFigures:
    assert way.report.validation is not None
    return way.report.validation


def _log_loss(way: Way) -> float:
    return _figures_of(way).log_loss


def _terms(subject: Subject) -> dict[str, float]:
    """Return the terms of the loss that its correction undoes, those that do something."""
    terms, plain = subject.terms, LossTerms.neutral(len(subject.classes))
    found = {name: getattr(terms, name) for name in ("gamma", "epsilon", "scale") if getattr(terms, name) != getattr(plain, name)}
    for name, values, neutral in (
        ("weight", terms.weights, plain.weights),
        ("shift", terms.shift, plain.shift),
        ("margin", terms.margin, plain.margin),
    ):
        if values != neutral:
            found |= {f"{name}:{label}": value for label, value in zip(subject.classes, values, strict=True)}
    return found


def _why_unfit(subject: Subject, labels: Ints) -> str | None:
    counts = np.bincount(labels, minlength=len(subject.classes))
    absent = [label for label, count in zip(subject.classes, counts, strict=True) if count == 0]
    return f"class_absent:{absent[0]}" if absent else None
