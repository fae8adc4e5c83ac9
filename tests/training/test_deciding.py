"""Threshold and offsets of an evaluation: on which rows and probabilities they are chosen, and when they are left alone."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from counterweight.contracts.evaluation import BestBy, EvaluationOptions, RecallFloor, ThresholdChoice
from counterweight.contracts.terms import LossTerms
from counterweight.statistics.offsets import worth_of
from counterweight.statistics.thresholds import choose_threshold
from workers.training import deciding
from workers.training.calibration import Way, calibrate
from workers.training.deciding import choose, decide
from workers.training.ranking import ranked
from workers.training.subject import Scored, Subject

BINARY = Subject(("no", "yes"), 1, LossTerms.neutral(2), (0.8, 0.2), EvaluationOptions())
SEVERAL = Subject(("x", "y", "z"), None, LossTerms.neutral(3), (0.7, 0.2, 0.1), EvaluationOptions())


def rows(counts: tuple[int, ...], seed: int = 0, apart: float = 2.0, sharp: float = 3.0) -> Scored:
    """Return over-confident outputs, as many of each class as said."""
    source = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    logits = source.normal(size=(len(labels), len(counts))) + apart * np.eye(len(counts))[labels] + np.log(np.array(counts) / len(labels))
    return Scored.of(sharp * logits, labels)


def way(subject: Subject, validation: Scored) -> Way:
    return calibrate(subject, validation, validation)[0]


@pytest.mark.parametrize(("counts", "is_small"), [((170, 30), False), ((171, 29), True), ((150, 49), True), ((29, 1000), True)])
def test_with_few_rows_the_threshold_is_chosen_on_cross_fitted_scores(counts: tuple[int, int], is_small: bool) -> None:
    validation = rows(counts)
    found = way(BINARY, validation)

    choice = choose(BINARY, found, validation)

    assert found.report.kind == "fitted"
    assert choice.threshold.cross_fitted == is_small
    log_p = found.apart if is_small else found.validation
    assert choice.threshold.value == choose_threshold(ranked(np.exp(log_p[:, 1]), validation.labels == 1), BestBy(), 0.95).value
    assert (choice.apart is None) != is_small


def test_where_nothing_is_fitted_there_is_nothing_to_cross_fit() -> None:
    validation = rows((60, 4))
    found = way(BINARY, validation)

    assert found.report.kind != "fitted"
    assert not choose(BINARY, found, validation).threshold.cross_fitted


def test_equal_scores_stay_equal_though_each_fold_s_calibrator_differs() -> None:
    flat = Scored.of(np.tile([2.0, 0.0], (95, 1)), (np.arange(95) < 13).astype(int))
    found = way(BINARY, flat)

    assert len(np.unique(found.apart[:, 1])) > 1
    assert choose(BINARY, found, flat).threshold.reason == "constant_scores"


def test_few_positives_bring_the_spread_of_the_threshold() -> None:
    validation = rows((400, 29))

    assert choose(BINARY, way(BINARY, validation), validation).threshold.spread is not None


@pytest.mark.parametrize(("counts", "reason"), [((400, 60, 30), None), ((400, 60, 29), "too_few")])
def test_offsets_need_thirty_rows_of_each_class(counts: tuple[int, ...], reason: str | None) -> None:
    validation = rows(counts)

    told = choose(SEVERAL, way(SEVERAL, validation), validation).threshold

    assert told.offsets_reason == reason
    assert any(told.offsets.values()) == (reason is None)


def test_offsets_that_gain_nothing_on_other_rows_stay_nought() -> None:
    counts = (100, 100, 100)
    found = {seed: choose(SEVERAL, way(SEVERAL, rows(counts, seed)), rows(counts, seed)).threshold for seed in range(8)}

    assert {told.offsets_reason for told in found.values()} >= {"no_gain"}
    for told in found.values():
        assert told.gain is not None
        assert (told.gain > 0) == (told.offsets_reason is None)
        assert any(told.offsets.values()) == (told.gain > 0)


@pytest.mark.parametrize("policy", ["max_f1", "max_mcc", "max_balanced_accuracy"])
def test_the_gain_told_is_about_that_on_test_rows(policy: str) -> None:
    subject = replace(SEVERAL, options=EvaluationOptions(threshold=BestBy.model_validate({"policy": policy})))
    told, found = [], []
    for seed in range(6):
        validation, test = rows((1400, 400, 200), seed), rows((1400, 400, 200), seed + 100)
        way_of = calibrate(subject, validation, test)[0]
        choice = choose(subject, way_of, validation).threshold
        calls = [decide(way_of.test, each, subject.classes, None) for each in (choice, choice.model_copy(update={"offsets": {}}))]
        worths = [worth_of(deciding.GOALS[policy], test.labels, called, 3) for called in calls]
        told.append(choice.gain or 0.0)
        found.append(worths[0] - worths[1])

    assert np.mean(told) == pytest.approx(np.mean(found), abs=0.02)


def test_a_policy_of_two_classes_moves_no_offset() -> None:
    subject = replace(SEVERAL, options=EvaluationOptions(threshold=RecallFloor(recall=0.9)))
    validation = rows((400, 100, 50))

    told = choose(subject, way(subject, validation), validation).threshold

    assert (told.policy, told.offsets_reason, told.offsets) == ("recall_floor", "policy", {"x": 0.0, "y": 0.0, "z": 0.0})


def test_more_than_can_be_searched_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "MOST_CELLS", 1000)
    validation = rows((400, 100, 50))

    assert choose(SEVERAL, way(SEVERAL, validation), validation).threshold.offsets_reason == "too_large"


def test_with_many_rows_one_fold_tells_the_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    validation = rows((1400, 400, 200))
    found = way(SEVERAL, validation)
    by_five = choose(SEVERAL, found, validation).threshold

    monkeypatch.setattr(deciding, "MANY_ROWS", 100)
    by_one = choose(SEVERAL, found, validation).threshold

    assert by_one.offsets == by_five.offsets
    assert by_one.gain == pytest.approx(by_five.gain, abs=0.05)


def test_without_a_threshold_a_half_decides() -> None:
    log_p = np.log(np.array([[0.5, 0.5], [0.51, 0.49]]))

    assert decide(log_p, ThresholdChoice(policy="max_f1", value=None, reason="no_positive"), ("no", "yes"), 1).tolist() == [1, 0]
    assert decide(log_p, ThresholdChoice(policy="max_f1", value=None, reason="no_positive"), ("no", "yes"), 0).tolist() == [0, 0]


def test_offsets_may_not_be_worse_than_the_likeliest_by_correlation_either() -> None:
    subject = replace(SEVERAL, options=EvaluationOptions(threshold=BestBy(policy="max_mcc")))
    validation = rows((700, 100, 60), seed=5)
    found = way(subject, validation)

    told = choose(subject, found, validation).threshold

    labels, log_p = validation.labels, found.validation
    called = decide(log_p, told, subject.classes, None)
    assert matthews_corrcoef(labels, called) >= matthews_corrcoef(labels, log_p.argmax(axis=1))
