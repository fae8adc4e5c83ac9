"""Situations in which metrics turn undefined or input is wrong, one after the other: what is answered then."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from counterweight.contracts.datasets import ClassShare, Column, TableFacts
from counterweight.contracts.evaluation import BestBy, Evaluation, EvaluationOptions
from counterweight.contracts.jobs import JobSpec
from counterweight.contracts.terms import LossTerms
from counterweight.statistics.thresholds import choose_threshold
from service.domain.errors import Invalid
from service.domain.submission import DatasetChoices, settle
from workers.training.errors import Diverged
from workers.training.evaluation import evaluate
from workers.training.loss import StackedTerms, example_loss
from workers.training.ranking import ranked
from workers.training.subject import Judged, Scored, Subject, check_probabilities

BINARY = Subject(("no", "yes"), 1, LossTerms.neutral(2), (0.9, 0.1), EvaluationOptions())
SEVERAL = Subject(("x", "y", "z"), None, LossTerms.neutral(3), (0.7, 0.2, 0.1), EvaluationOptions())
OF_CLASSES = {"average_precision", "roc_auc", "recall", "mcc", "kappa", "balanced_accuracy", "g_mean"}


def rows_of(classes: int, *present: int, rows: int = 200) -> Scored:
    source = np.random.default_rng(0)
    labels = source.choice(list(present), rows)
    return Scored.of(source.normal(size=(rows, classes)) + np.eye(classes)[labels], labels)


def settled(counts: dict[str, int], part_classes: Any = None, **spec: Any) -> None:
    classes = [ClassShare(label=label, count=count, fraction=count / sum(counts.values())) for label, count in counts.items()]
    columns = [Column(name=name, type="categorical", missing=0, distinct=3) for name in ("feature", "part", "label")]
    facts = TableFacts(
        format="csv",
        rows=sum(counts.values()),
        columns=columns,
        target="label",
        positive_label="bad" if len(counts) == 2 else None,
        classes=classes,
        part_classes=part_classes or {},
    )
    settle(JobSpec.model_validate({"dataset_id": "ds_1", **spec}), facts, DatasetChoices("t.csv", ()))


def test_a_class_without_training_rows_or_a_single_class_is_refused_by_name() -> None:
    everywhere = {"good": 10, "bad": 10}
    parts = {"part": {"train": {"good": 20}, "validation": everywhere, "test": everywhere}}

    with pytest.raises(Invalid, match="class 'bad' has no row in part 'train'"):
        settled({"good": 40, "bad": 20}, parts, split={"kind": "column", "column": "part"})
    with pytest.raises(Invalid, match="only 'good'"):
        settled({"good": 40})


def test_a_class_absent_from_validation_trains_only_towards_log_loss() -> None:
    everywhere = {"good": 10, "bad": 10}
    parts = {"part": {"train": everywhere, "validation": {"good": 10}, "test": everywhere}}
    split = {"kind": "column", "column": "part"}

    with pytest.raises(Invalid, match='"log_loss"'):
        settled({"good": 30, "bad": 20}, parts, split=split, learner={"kind": "mlp"})
    settled({"good": 30, "bad": 20}, parts, split=split, learner={"kind": "mlp"}, training={"early_stopping": {"metric": "log_loss"}})


def test_a_class_absent_from_validation_leaves_no_threshold_no_calibration_and_null_metrics() -> None:
    found = evaluate(BINARY, rows_of(2, 0), rows_of(2, 0, 1)).evaluation

    assert (found.threshold.value, found.threshold.reason) == (None, "no_positive")
    assert found.calibration.reason == "class_absent:yes"
    assert found.calibration.chosen != "fitted"
    validation = found.splits["validation"].metrics
    assert {name for name, metric in validation.items() if metric.value is None} == OF_CLASSES
    assert validation["log_loss"].value is not None
    assert all(metric.value is not None for metric in found.splits["test"].metrics.values())


def test_of_several_classes_one_absent_from_validation_leaves_the_offsets_at_nought() -> None:
    found = evaluate(SEVERAL, rows_of(3, 0, 1), rows_of(3, 0, 1, 2)).evaluation

    assert (found.threshold.reason, found.threshold.offsets_reason) == ("several_classes", "too_few")
    assert found.threshold.offsets == {"x": 0, "y": 0, "z": 0}
    assert found.threshold.gain is None


def test_a_class_without_any_judged_row_is_never_suggested_for_another() -> None:
    suspected = evaluate(SEVERAL, rows_of(3, 0, 1), rows_of(3, 0, 1)).evaluation.suspected_label_errors

    assert suspected is not None
    assert suspected.self_confidence["z"] is None
    assert {pair.suggested for pair in suspected.pairs} == {"x", "y"}


def test_what_the_bootstrap_cannot_draw_is_exact_or_null_and_never_an_interval_without_width() -> None:
    labels = np.arange(100) % 2
    perfect = Scored.of(np.stack([-8.0 * labels, 8.0 * labels - 4], axis=1) + np.linspace(0, 0.1, 100)[:, None] * [0, 1], labels)

    metrics = evaluate(BINARY, perfect, perfect).evaluation.splits["test"].metrics

    assert metrics["roc_auc"].value == metrics["average_precision"].value == metrics["recall"].value == metrics["accuracy"].value == 1
    assert metrics["roc_auc"].low == metrics["recall"].low == pytest.approx(0.025 ** (1 / 50))
    assert 0.7 < (metrics["average_precision"].low or 0) < (metrics["roc_auc"].low or 0)
    for name, metric in metrics.items():
        assert metric.low is None or metric.high is None or metric.low < metric.high, name
    assert {metric.reason for metric in metrics.values()} == {None, "degenerate"}


def test_a_class_absent_from_test_is_null_and_the_others_are_averaged_by_name() -> None:
    found = evaluate(SEVERAL, rows_of(3, 0, 1, 2), rows_of(3, 0, 1)).evaluation.splits["test"]

    for name in ("average_precision", "roc_auc", "f1", "precision", "recall"):
        assert found.per_class["z"][name].value is None
    macro = {name: metric for name, metric in found.metrics.items() if name.startswith("macro")}
    assert {metric.reason for metric in macro.values()} == {"class_absent:z"}
    assert found.macro_over_present is not None
    assert found.macro_over_present.absent == ["z"]
    assert found.macro_over_present.metrics.keys() == macro.keys()
    assert all(metric.value is not None and metric.low is not None for metric in found.macro_over_present.metrics.values())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_an_error(bad: float) -> None:
    logits = np.zeros((5, 2))
    logits[3, 1] = bad

    with pytest.raises(Diverged, match="row 3"):
        Scored.of(logits, np.array([0, 1, 0, 1, 0]))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_outside_the_declared_classes_is_an_error(label: int) -> None:
    with pytest.raises(ValueError, match="there are 2 classes"):
        Scored.of(np.zeros((3, 2)), np.array([0, 1, label]))


@pytest.mark.parametrize("row", [[1.1, -0.1], [0.5, 0.5 + 2e-6], [np.nan, 1.0], [0.3, 0.3]])
def test_what_is_no_probability_is_an_error_and_never_clipped(row: list[float]) -> None:
    with pytest.raises(ValueError, match="probabilit"):
        check_probabilities(np.array([[0.5, 0.5], row]))
    with np.errstate(invalid="ignore", divide="ignore"), pytest.raises(ValueError, match="probabilit"):
        Judged(Scored.of(np.zeros((1, 2)), np.array([0])), np.log(np.array([row])), np.array([0]))


def test_probabilities_that_sum_to_one_but_for_rounding_are_taken() -> None:
    check_probabilities(np.array([[0.5, 0.5 + 5e-7]]))


def constant() -> Evaluation:
    flat = Scored.of(np.tile([2.0, 0.0], (100, 1)), (np.arange(100) < 10).astype(int))
    return evaluate(BINARY, flat, flat).evaluation


def test_equal_scores_have_the_prevalence_half_the_area_and_no_threshold() -> None:
    found = constant()

    metrics = found.splits["test"].metrics
    assert (metrics["average_precision"].value, metrics["roc_auc"].value) == (0.1, 0.5)
    assert (found.threshold.value, found.threshold.reason) == (None, "constant_scores")
    assert {candidate.reason for candidate in found.calibration.candidates if candidate.method == "platt"} == {"constant_scores"}


@pytest.mark.parametrize(("positives", "has_intervals"), [(4, False), (5, True)])
def test_under_five_rows_of_a_class_there_are_points_only(positives: int, has_intervals: bool) -> None:
    rows = Scored.of(np.random.default_rng(0).normal(size=(100, 2)), (np.arange(100) < positives).astype(int))

    metrics = evaluate(BINARY, rows, rows).evaluation.splits["test"].metrics

    assert all(metric.value is not None for metric in metrics.values())
    assert {metric.low is not None for name, metric in metrics.items() if name in ("log_loss", "roc_auc")} == {has_intervals}
    if not has_intervals:
        assert {metric.reason for metric in metrics.values()} == {"too_few"}


def test_among_equal_thresholds_the_choice_is_fixed_and_recorded() -> None:
    labels, scores = np.array([True, False, True, False]), np.array([0.2, 0.4, 0.6, 0.8])
    orders = [np.array(order) for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1])]

    found = {
        (choice.value, choice.tied)
        for order in orders
        for choice in [choose_threshold(ranked(scores[order], labels[order]), BestBy(policy="max_balanced_accuracy"), 0.95)]
    }

    ((value, tied),) = found
    assert value == pytest.approx(0.5)
    assert tied == 3


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_a_batch_without_positives_has_a_finite_loss_and_gradient(gamma: float) -> None:
    terms = StackedTerms.of([replace(LossTerms.neutral(2), gamma=gamma, weights=(0.5, 50.0))], torch.float32)
    logits = torch.randn(1, 8, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)

    loss = example_loss(logits, torch.zeros(8, dtype=torch.long), terms).mean()
    loss.backward()  # type: ignore[no-untyped-call]

    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "balanced_cross_entropy", "weights": {"good": -1.0, "bad": 1.0}},
        {"kind": "balanced_cross_entropy", "weights": {"good": float("nan"), "bad": 1.0}},
        {"kind": "balanced_cross_entropy", "weights": {"good": float("inf"), "bad": 1.0}},
        {"kind": "balanced_cross_entropy", "weights": {"good": 0.0, "bad": 0.0}},
        {"kind": "focal", "alpha": 0.0},
        {"kind": "focal", "alpha": 1.0},
        {"kind": "focal", "gamma": -0.5},
        {"kind": "cross_entropy", "label_smoothing": 1.0},
        {"kind": "cross_entropy", "label_smoothing": -0.1},
    ],
    ids=str,
)
def test_weights_and_parameters_that_mean_nothing_are_refused_as_written(loss: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobSpec.model_validate({"dataset_id": "ds_1", "loss": loss})


@pytest.mark.parametrize(
    ("counts", "loss"),
    [
        ({"good": 90, "bad": 10}, {"kind": "balanced_cross_entropy", "weights": {"bad": 2.0}}),
        ({"good": 90, "bad": 10}, {"kind": "balanced_cross_entropy", "weights": {"good": 1.0, "bad": 2.0, "ugly": 3.0}}),
        ({"good": 90, "bad": 10, "ugly": 10}, {"kind": "focal", "alpha": 0.25}),
    ],
    ids=["one missing", "one too many", "one alpha for three classes"],
)
def test_weights_that_do_not_fit_the_classes_are_refused_at_their_field(counts: dict[str, int], loss: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refusal:
        settled(counts, loss=loss)

    assert refusal.value.errors[0].pointer.startswith("/loss/")
