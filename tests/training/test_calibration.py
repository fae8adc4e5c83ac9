"""Which probabilities are chosen, and why."""

from dataclasses import replace

import numpy as np
import pytest

from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.terms import LossTerms
from workers.training.calibration import Way, calibrate
from workers.training.subject import Scored, Subject

BINARY = Subject(("no", "yes"), 1, LossTerms.neutral(2), (0.9, 0.1), EvaluationOptions())
SEVERAL = Subject(("x", "y", "z"), None, LossTerms.neutral(3), (0.7, 0.2, 0.1), EvaluationOptions())


def honest(rows: int, classes: int = 2, seed: int = 0) -> Scored:
    """Return logits whose softmax is the truth."""
    source = np.random.default_rng(seed)
    logits = 1.5 * source.normal(size=(rows, classes)) - np.arange(classes)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (source.random((rows, 1)) > shares.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return Scored.of(logits, labels)


def bent(scored: Scored, slope: float = 1.0, shift: float = 0.0) -> Scored:
    return replace(scored, logits=scored.logits * slope + shift * np.arange(scored.logits.shape[1]))


def figures(way: Way) -> tuple[float, float]:
    assert way.report.validation is not None
    assert way.report.test is not None
    return way.report.validation.log_loss, way.report.test.log_loss


@pytest.mark.parametrize("seed", range(5))
def test_honest_probabilities_stay_as_they_are_or_hardly_move(seed: int) -> None:
    validation, test = honest(1500, seed=seed), honest(20_000, seed=100)

    way, report = calibrate(BINARY, validation, test)

    raw = next(candidate for candidate in report.candidates if candidate.kind == "raw")
    assert raw.test is not None
    assert figures(way)[1] < raw.test.log_loss * 1.01


def test_cross_entropy_on_few_honest_rows_stays_raw() -> None:
    way, report = calibrate(BINARY, honest(300, seed=3), honest(300, seed=4))

    assert (way.base, way.calibrator.method, report.chosen, report.method) == ("raw", "none", "raw", "none")
    assert report.before == report.after


def test_a_weighted_network_is_corrected() -> None:
    scored, weights = honest(2000), (0.55, 5.0)
    tilted = replace(scored, logits=scored.logits + np.log(weights))

    way, report = calibrate(replace(BINARY, terms=LossTerms.neutral(2).with_weights(weights)), tilted, tilted)

    (corrected,) = (candidate for candidate in report.candidates if candidate.kind == "corrected")
    assert way.base == "corrected"
    assert corrected.validation is not None
    assert corrected.validation.log_loss == pytest.approx(figures(calibrate(BINARY, scored, scored)[0])[0], rel=0.01)
    assert report.after.log_loss <= corrected.validation.log_loss < report.before.log_loss
    assert report.after.ece < report.before.ece


def test_what_no_formula_knows_of_is_fitted() -> None:
    validation, test = bent(honest(3000), slope=3, shift=2), bent(honest(20_000, seed=9), slope=3, shift=2)

    way, report = calibrate(BINARY, validation, test)

    truth = honest(20_000, seed=9)
    best = -np.log(np.exp(truth.logits) / np.exp(truth.logits).sum(axis=1, keepdims=True))[np.arange(20_000), truth.labels].mean()
    assert report.chosen == "fitted"
    assert figures(way)[1] == pytest.approx(best, rel=0.02)


def test_several_classes_get_a_temperature() -> None:
    validation = bent(honest(3000, classes=3), slope=4)

    way, report = calibrate(SEVERAL, validation, validation)

    assert (report.chosen, report.method) == ("fitted", "temperature")
    assert report.parameters["temperature"] == pytest.approx(4, rel=0.1)
    np.testing.assert_allclose(np.exp(way.validation).sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(("rows", "has_isotonic"), [(999, False), (3000, True)])
def test_isotonic_takes_a_thousand_rows_and_a_hundred_of_each_class(rows: int, has_isotonic: bool) -> None:
    _, report = calibrate(BINARY, honest(rows), honest(100))

    (isotonic,) = (candidate for candidate in report.candidates if candidate.method == "isotonic")
    assert (isotonic.validation is not None) == has_isotonic
    assert isotonic.reason == (None if has_isotonic else "too_few")


def test_under_five_rows_of_a_class_nothing_is_fitted() -> None:
    scored = honest(200)
    few = replace(scored, labels=(np.arange(200) < 4).astype(int))

    _, report = calibrate(BINARY, few, few)

    assert {candidate.reason for candidate in report.candidates if candidate.kind == "fitted"} == {"too_few"}


def test_cross_fitted_figures_are_worse_than_those_of_rows_known() -> None:
    _, report = calibrate(BINARY, (validation := honest(400, seed=7)), validation)

    (platt,) = (candidate for candidate in report.candidates if candidate.method == "platt")
    assert platt.validation is not None
    assert platt.test is not None  # Here the very rows it was fitted on.
    assert platt.validation.log_loss > platt.test.log_loss


def test_without_a_class_the_formula_is_believed_and_the_reason_told() -> None:
    weighted = replace(BINARY, terms=LossTerms.neutral(2).with_weights((0.5, 5.0)))
    only_no = replace(honest(100), labels=np.zeros(100, dtype=int))

    way, report = calibrate(weighted, only_no, honest(100))

    assert (way.base, report.chosen, report.reason) == ("corrected", "corrected", "class_absent:yes")
    assert {candidate.reason for candidate in report.candidates if candidate.kind == "fitted"} == {"class_absent:yes"}


def test_the_order_of_the_rows_and_the_class_called_positive_change_nothing() -> None:
    scored = bent(honest(1500), slope=2)
    order = np.random.default_rng(1).permutation(1500)
    shuffled = Scored(scored.logits[order], scored.labels[order], scored.rows[order])

    _, report = calibrate(BINARY, scored, scored)

    for subject, rows in ((BINARY, shuffled), (replace(BINARY, positive=0), scored)):
        _, other = calibrate(subject, rows, rows)
        assert other.method == report.method
        assert other.after.log_loss == pytest.approx(report.after.log_loss, rel=1e-9)
        assert other.after.brier == pytest.approx(report.after.brier, rel=1e-9)
