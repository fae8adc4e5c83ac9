"""The formula, the corrections and the metrics against numbers computed with 80 digits."""

from typing import Any

import numpy as np
import pytest
import torch

from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.losses import BalancedSoftmax, Ldam, LogitAdjusted
from counterweight.contracts.terms import ClassCounts, LossTerms, prior_bias
from counterweight.contracts.weights import effective_number, inverse_frequency, mean_one
from counterweight.statistics.decisions import class_metrics
from counterweight.statistics.decisions import measured as measured_decisions
from tests.training.golden import golden, needs_golden
from workers.training.correction import corrected_log_probabilities
from workers.training.loss import StackedTerms, example_loss
from workers.training.measures import measure
from workers.training.metrics import brier_scores, confusion, log_losses
from workers.training.ranking import average_precision, ranked, roc_auc
from workers.training.subject import Judged, Scored, Subject

NOT_OURS = ("asymmetric", "ghm_c", "focal_star", "focal_soft_sum", "focal_soft_linear_pt")
CASES = [case for case in golden("cases") if case["loss"] not in NOT_OURS]
CORRECTIONS = [case for case in golden("transforms") if case["kind"] in ("focal_posterior_correction", "prior_correction")]
MINIMISERS = [case for case in golden("transforms") if case["kind"] == "focal_risk_minimiser"]
WEIGHTS = [case for case in golden("transforms") if case["kind"] == "class_weights"]
BIASES = [case for case in golden("transforms") if case["kind"] == "bias_init"]
METRICS = [case for case in golden("metrics") if "score" in case]
NAMES = {"kappa": "cohen_kappa"}


def named(case: dict[str, Any]) -> str:
    return str(case["id"])


def counted(case: dict[str, Any]) -> ClassCounts:
    return ClassCounts(tuple(str(index) for index in range(len(case["class_counts"]))), tuple(case["class_counts"]))


def terms_of(case: dict[str, Any], classes: int) -> LossTerms:
    """Return the terms a case's settings come to."""
    weights, shift, margin = [1.0] * classes, [0.0] * classes, [0.0] * classes
    if case.get("alpha") is not None:
        weights = [1 - case["alpha"], case["alpha"]]
    if case.get("class_weights") is not None:
        weights = case["class_weights"]
    if case["loss"] == "logit_adjusted":
        shift = list(LogitAdjusted(tau=case["tau"]).terms(counted(case)).shift)
    if case["loss"] == "ldam":
        margin = list(Ldam(scale=case["s"]).terms(counted(case)).margin)
        assert margin == pytest.approx(case["margins"], rel=1e-14)
    return LossTerms(
        weights=tuple(weights),
        shift=tuple(shift),
        margin=tuple(margin),
        scale=case.get("s", 1.0),
        gamma=case["gamma"],
        epsilon=case.get("epsilon", 0.0),
        smoothing=case.get("label_smoothing", 0.0),
    )


@needs_golden
def test_twenty_eight_cases_are_ours() -> None:
    assert len(CASES) == 28


@pytest.mark.parametrize("case", CASES, ids=named)
def test_value_and_gradient_of_a_golden_case(case: dict[str, Any]) -> None:
    given = torch.tensor(case["logits"], dtype=torch.float64, requires_grad=True)
    logits = torch.stack([torch.zeros_like(given), given], dim=1) if case["task"] == "binary" else given
    terms = StackedTerms.of([terms_of(case, logits.shape[1])], torch.float64)

    values = example_loss(logits[None], torch.tensor(case["targets"]), terms)[0]
    loss = values.sum() / case["normalizer"]
    (gradient,) = torch.autograd.grad(loss, given)

    for found, name in ((values, "expected_per_sample_loss"), (loss, "expected_loss"), (gradient, "expected_grad")):
        torch.testing.assert_close(found, torch.tensor(case[name], dtype=torch.float64), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("case", CORRECTIONS, ids=named)
def test_a_golden_correction(case: dict[str, Any]) -> None:
    probabilities = np.array(case["probs"] if "probs" in case else [1 - case["prob"], case["prob"]])
    classes = len(probabilities)
    weights = case.get("alpha_per_class") or case.get("class_weights") or [1.0] * classes
    shift = [0.0] * classes
    if "weight_pos" in case:
        weights = [case["weight_neg"], case["weight_pos"]]
    if "class_counts" in case:
        shift = list(BalancedSoftmax().terms(counted(case)).shift)
    terms = LossTerms(weights=tuple(weights), shift=tuple(shift), margin=(0.0,) * classes, gamma=case.get("gamma", 0.0))

    corrected = np.exp(corrected_log_probabilities(np.log(probabilities)[None], terms))[0]

    expected = case["expected_probs"] if "expected_probs" in case else [1 - case["expected_prob"], case["expected_prob"]]
    np.testing.assert_allclose(corrected, expected, rtol=1e-12)


@pytest.mark.parametrize("case", MINIMISERS, ids=named)
def test_the_correction_undoes_the_minimiser_of_a_golden_risk(case: dict[str, Any]) -> None:
    alpha = case.get("alpha", 0.5)
    terms = LossTerms(weights=(1 - alpha, alpha), shift=(0.0, 0.0), margin=(0.0, 0.0), gamma=case["gamma"])

    corrected = np.exp(corrected_log_probabilities(np.array([[0.0, case["expected_logit"]]]), terms))[0, 1]

    assert corrected == pytest.approx(case["eta"], rel=1e-12)


@pytest.mark.parametrize("case", WEIGHTS, ids=named)
def test_golden_class_weights(case: dict[str, Any]) -> None:
    counts = counted(case)
    if "beta" in case:  # Golden ones sum to the number of classes, ours have mean 1 over the rows; only ratios mean anything.
        raw = effective_number(counts, case["beta"])
        weights = [len(raw) * weight / sum(raw) for weight in raw]
    else:
        weights = mean_one(inverse_frequency(counts), counts)

    assert weights == pytest.approx(case["expected_weights"], rel=1e-12)


@pytest.mark.parametrize("case", BIASES, ids=named)
def test_a_golden_initial_bias(case: dict[str, Any]) -> None:
    no, yes = prior_bias(LossTerms.neutral(2), [1 - case["pi"], case["pi"]])

    assert yes - no == pytest.approx(case["expected_bias"], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("case", METRICS, ids=named)
def test_the_golden_metrics_of_scores(case: dict[str, Any]) -> None:
    labels, scores = np.array(case["y_true"]), np.array(case["score"])
    ranking = ranked(scores, labels == 1)
    log_p = np.log(np.stack([1 - scores, scores], axis=1))
    measured = {
        "average_precision": average_precision(ranking).value,
        "auroc": roc_auc(ranking).value,
        "log_loss": log_losses(log_p, labels).mean(),
        "brier": brier_scores(log_p, labels, positive=1).mean(),
    }
    if "threshold" in case:
        called = (scores >= case["threshold"]).astype(np.int64)
        decisions = measured_decisions(confusion(labels, called, 2), 1, 0.95)
        measured |= {NAMES.get(name, name): metric.value for name, metric in decisions.items()}

    assert len(measured.keys() & case.keys()) >= 2
    for name in measured.keys() & case.keys():
        assert measured[name] == (None if case[name] is None else pytest.approx(case[name], rel=1e-12)), name


@pytest.mark.parametrize("floor", [0.5, 0.9])
@needs_golden
def test_the_golden_recall_at_a_precision(floor: float) -> None:
    case = next(case for case in METRICS if case["id"] == "binary_ties")
    cells = ranked(np.array(case["score"]), np.array(case["y_true"]) == 1).cells_of_steps()[1:]

    found = class_metrics(cells)

    reached = found["recall"][:, 1][found["precision"][:, 1] >= floor]
    assert (reached.max() if len(reached) else None) == case[f"max_recall_at_precision_{floor}".replace(".", "_")]


@needs_golden
def test_the_golden_metrics_of_an_absent_class() -> None:
    case = next(case for case in golden("metrics") if case["id"] == "multiclass_absent_class")
    labels, called = np.array(case["y_true"]), np.array(case["y_pred"])
    subject = Subject(("0", "1", "2"), None, LossTerms.neutral(3), (0.4, 0.4, 0.2), EvaluationOptions())
    scored = Scored.of(np.eye(3)[called], labels)

    found = measure(subject, Judged(scored, np.log(np.full((4, 3), 1 / 3)), called))

    for name in ("recall", "precision", "f1"):
        assert [each[name].value for each in found.of_classes] == pytest.approx(case[f"per_class_{name}"])
    assert found.whole["macro_f1"].value is case["macro_f1_full"] is None
    assert found.macro_over_present is not None
    assert found.macro_over_present.absent == [str(index) for index in case["undefined_classes"]]
    for name in ("recall", "f1"):
        assert found.macro_over_present.metrics[f"macro_{name}"].value == pytest.approx(case[f"macro_{name}_over_present"])
