"""The evaluation of a model."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from counterweight.contracts.evaluation import BestBy, EvaluationOptions, Fixed, SplitEvaluation
from counterweight.contracts.terms import LossTerms
from workers.training.evaluation import evaluate
from workers.training.subject import Scored, Subject

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
    return Scored.of(source.normal(size=(rows, classes)) + 2 * np.eye(classes)[labels], labels)


def on_test(subject: Subject, **changes: int) -> SplitEvaluation:
    classes = len(subject.classes)
    return evaluate(subject, scored(400, classes), scored(400, classes, seed=1, **changes)).evaluation.splits["test"]


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


def test_several_classes_have_no_threshold_and_their_offsets_make_the_calls() -> None:
    found = evaluate(SEVERAL, scored(400, 3), scored(400, 3, seed=1))

    threshold, judged = found.evaluation.threshold, found.judged["test"]
    assert (threshold.value, threshold.reason, threshold.offsets_reason) == (None, "several_classes", None)
    assert threshold.offsets["x"] == 0
    shifted = judged.log_p + [threshold.offsets[label] for label in SEVERAL.classes]
    np.testing.assert_array_equal(judged.decisions, shifted.argmax(axis=1))
    plain = f1_score(judged.labels, judged.log_p.argmax(axis=1), average="macro")
    assert f1_score(judged.labels, judged.decisions, average="macro") > plain + 0.02
    assert threshold.gain == pytest.approx(0.05, abs=0.05)


def test_constant_scores_have_no_threshold_and_call_the_likelier_class() -> None:
    flat = Scored.of(np.tile([2.0, 0.0], (100, 1)), np.arange(100) % 10 // 9)

    found = evaluate(BINARY, flat, flat)

    assert (found.evaluation.threshold.value, found.evaluation.threshold.reason) == (None, "constant_scores")
    assert found.evaluation.splits["test"].confusion.counts == [[90, 0], [10, 0]]


def test_the_threshold_is_chosen_on_the_validation_rows() -> None:
    options = EvaluationOptions(threshold=BestBy(policy="max_mcc"))
    subject = replace(BINARY, options=options)

    values = {evaluate(subject, scored(400, 2), scored(400, 2, seed=seed)).evaluation.threshold.value for seed in (1, 2)}

    assert len(values) == 1


def test_a_class_absent_from_the_test_rows_is_null_by_name() -> None:
    found = on_test(SEVERAL, absent=2)

    assert found.metrics["macro_average_precision"].reason == "class_absent:z"
    assert {found.metrics[f"macro_{name}"].reason for name in ("f1", "precision", "recall")} == {"class_absent:z"}
    assert found.per_class["z"]["average_precision"].reason == "no_positive"
    assert found.metrics["log_loss"].value is not None


def test_under_five_positives_the_values_stand_without_intervals() -> None:
    few = Scored.of(np.random.default_rng(0).normal(size=(50, 2)), (np.arange(50) < 4).astype(int))

    found = evaluate(BINARY, few, few).evaluation.splits["test"]

    assert {metric.reason for metric in found.metrics.values()} == {"too_few"}


def test_the_constant_baseline_is_the_prevalence() -> None:
    found = on_test(BINARY)

    assert found.baselines["constant"]["average_precision"].value == pytest.approx(found.classes[1].fraction)
    assert found.baselines["constant"]["roc_auc"].value == 0.5


def test_the_hardest_rows_are_those_of_the_greatest_loss() -> None:
    validation, test = scored(400, 2), scored(400, 2, seed=1)

    found = evaluate(BINARY, validation, replace(test, rows=np.arange(1000, 1400)))

    hardest = found.evaluation.hardest_rows
    losses = {part: -judged.log_p[np.arange(400), judged.labels] for part, judged in found.judged.items()}
    worst = sorted(np.concatenate([*losses.values()]), reverse=True)[:20]
    assert [row.loss for row in hardest] == worst
    for row in hardest:
        assert losses[row.part][row.row % 1000] == row.loss
        assert (row.row >= 1000) == (row.part == "test")
        assert row.probability == pytest.approx(np.exp(-row.loss))


def test_averages_over_the_classes_that_are_there_are_given_by_name() -> None:
    found = on_test(SEVERAL, absent=2)

    assert found.macro_over_present is not None
    assert found.macro_over_present.absent == ["z"]
    of_present = [found.per_class[label]["recall"].value for label in ("x", "y")]
    recall = found.macro_over_present.metrics["macro_recall"]
    assert recall.value == pytest.approx(np.mean([value for value in of_present if value is not None]))
    assert recall.low is not None
    assert on_test(SEVERAL).macro_over_present is None


def test_averages_equal_scikit_learn_s() -> None:
    found = evaluate(SEVERAL, scored(400, 3), scored(400, 3, seed=1))

    metrics, judged = found.evaluation.splits["test"].metrics, found.judged["test"]
    for name, theirs in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        assert metrics[f"macro_{name}"].value == pytest.approx(theirs(judged.labels, judged.decisions, average="macro"), rel=1e-12)
    area = roc_auc_score(judged.labels, np.exp(judged.log_p), multi_class="ovr", average="macro")
    assert metrics["macro_roc_auc_ovr"].value == pytest.approx(area, rel=1e-12)


def test_the_curves_of_many_classes_have_fewer_points() -> None:
    source = np.random.default_rng(0)
    classes = tuple(f"class {index}" for index in range(30))
    subject = Subject(classes, None, LossTerms.neutral(30), (1 / 30,) * 30, EvaluationOptions())
    rows = Scored.of(source.normal(size=(3000, 30)), source.integers(0, 30, 3000))

    found = evaluate(subject, rows, rows).evaluation.splits["test"].class_curves

    assert {len(curve.roc.thresholds) for curve in found.values() if curve.roc is not None} <= set(range(90, 101))
