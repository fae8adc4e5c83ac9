"""The evaluation of a model."""

from dataclasses import replace

import numpy as np
import pytest

from counterweight.contracts.evaluation import BestBy, EvaluationOptions, Fixed, SplitEvaluation
from counterweight.contracts.terms import LossTerms
from workers.training.evaluation import Scored, Subject, evaluate

BINARY = Subject(("no", "yes"), 1, LossTerms.neutral(2), (0.9, 0.1), EvaluationOptions())
SEVERAL = Subject(("x", "y", "z"), None, LossTerms.neutral(3), (0.7, 0.2, 0.1), EvaluationOptions())
BINARY_NAMES = {
    *("average_precision", "roc_auc", "log_loss", "brier", "ece", "mcc", "balanced_accuracy", "g_mean"),
    *("f1", "precision", "recall", "specificity", "accuracy", "kappa"),
}
SEVERAL_NAMES = {
    *("macro_average_precision", "macro_roc_auc_ovr", "macro_f1", "macro_precision", "macro_recall"),
    *("log_loss", "brier", "ece", "accuracy", "mcc", "balanced_accuracy", "g_mean", "kappa"),
}


def scored(rows: int, classes: int, seed: int = 0, absent: int | None = None) -> Scored:
    """Return logits that know something of the labels; the last class is the rarest."""
    source = np.random.default_rng(seed)
    labels = source.choice(classes, rows, p=[0.9, 0.1] if classes == 2 else [0.7, 0.2, 0.1])
    if absent is not None:
        labels = np.where(labels == absent, 0, labels)
    return Scored(source.normal(size=(rows, classes)) + 2 * np.eye(classes)[labels], labels)


def on_test(subject: Subject, **changes: int) -> SplitEvaluation:
    classes = len(subject.classes)
    return evaluate(subject, scored(400, classes), scored(400, classes, seed=1, **changes)).splits["test"]


@pytest.mark.parametrize(("subject", "names"), [(BINARY, BINARY_NAMES), (SEVERAL, SEVERAL_NAMES)], ids=["two", "several"])
def test_all_metrics_are_there_with_their_intervals(subject: Subject, names: set[str]) -> None:
    found = on_test(subject)

    assert found.metrics.keys() == names == found.baselines["constant"].keys()
    for metric in found.metrics.values():
        assert metric.value is not None
        assert metric.low is not None
        assert metric.high is not None
        assert metric.low <= metric.value <= metric.high


def test_the_positive_class_is_the_one_asked_for() -> None:
    other = replace(BINARY, positive=0)

    assert on_test(other).metrics["average_precision"] == on_test(BINARY).per_class["no"]["average_precision"]
    assert on_test(other).curves != on_test(BINARY).curves


def test_the_confusion_follows_the_threshold() -> None:
    options = EvaluationOptions(threshold=Fixed(value=0.0))

    found = on_test(replace(BINARY, options=options))

    assert [row[0] for row in found.confusion.counts] == [0, 0]
    assert found.metrics["recall"].value == 1


def test_several_classes_go_to_the_likeliest_and_have_no_threshold() -> None:
    validation = scored(400, 3)

    found = evaluate(SEVERAL, validation, validation)

    assert (found.threshold.value, found.threshold.reason) == (None, "several_classes")
    assert np.trace(found.splits["test"].confusion.counts) == (validation.logits.argmax(axis=1) == validation.labels).sum()


def test_constant_scores_have_no_threshold_and_call_the_likelier_class() -> None:
    flat = Scored(np.tile([2.0, 0.0], (100, 1)), np.arange(100) % 10 // 9)

    found = evaluate(BINARY, flat, flat)

    assert (found.threshold.value, found.threshold.reason) == (None, "constant_scores")
    assert found.splits["test"].confusion.counts == [[90, 0], [10, 0]]


def test_the_threshold_is_chosen_on_the_validation_rows() -> None:
    options = EvaluationOptions(threshold=BestBy(policy="max_mcc"))
    subject = replace(BINARY, options=options)

    values = {evaluate(subject, scored(400, 2), scored(400, 2, seed=seed)).threshold.value for seed in (1, 2)}

    assert len(values) == 1


def test_corrected_probabilities_are_chosen_where_they_are_better() -> None:
    honest = scored(2000, 2)
    weights = (0.55, 5.0)
    tilted = Scored(honest.logits + np.log(weights), honest.labels)
    weighted = replace(BINARY, terms=LossTerms.neutral(2).with_weights(weights))

    corrected = evaluate(weighted, tilted, tilted)

    raw = evaluate(BINARY, honest, honest)
    assert corrected.calibration.chosen == "corrected"
    assert corrected.calibration.after["log_loss"] == pytest.approx(raw.calibration.before["log_loss"])
    assert corrected.splits["test"].metrics["brier"].value == pytest.approx(raw.splits["test"].metrics["brier"].value)


def test_cross_entropy_stays_raw() -> None:
    assert evaluate(BINARY, scored(400, 2), scored(400, 2)).calibration.chosen == "raw"


def test_a_class_absent_from_the_test_rows_is_null_by_name() -> None:
    found = on_test(SEVERAL, absent=2)

    assert found.metrics["macro_average_precision"].reason == "class_absent:z"
    assert found.metrics["macro_f1"].reason == "class_absent:z"
    assert found.per_class["z"]["average_precision"].reason == "no_positive"
    assert found.metrics["log_loss"].value is not None


def test_under_five_positives_the_values_stand_without_intervals() -> None:
    few = Scored(np.random.default_rng(0).normal(size=(50, 2)), (np.arange(50) < 4).astype(int))

    found = evaluate(BINARY, few, few).splits["test"]

    assert {metric.reason for metric in found.metrics.values()} == {"too_few"}


def test_the_constant_baseline_is_the_prevalence() -> None:
    found = on_test(BINARY)

    assert found.baselines["constant"]["average_precision"].value == pytest.approx(found.classes[1].fraction)
    assert found.baselines["constant"]["roc_auc"].value == 0.5
