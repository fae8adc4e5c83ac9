"""Metrics under weights: a row that weighs 2 counts as two rows, and with every weight 1 they are those of the evaluation."""

from typing import get_args

import numpy as np
import pytest

from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.studies import StudyMetric, metrics_of
from counterweight.contracts.terms import LossTerms
from counterweight.statistics import outcomes
from counterweight.statistics.outcomes import Outcome, PoissonWeights
from counterweight.statistics.weighted import measure_of, value_of
from service.domain.studies import LOWER_IS_BETTER, goal_of
from service.persistence.recording import goal_of as goal_of_series
from workers.training.measures import measure
from workers.training.subject import Judged, Scored, Subject

ALL: tuple[StudyMetric, ...] = get_args(StudyMetric)
BINARY, SEVERAL = metrics_of(has_several_classes=False), metrics_of(has_several_classes=True)


def judged(classes: int, rows: int = 300, seed: int = 0) -> Judged:
    source = np.random.default_rng(seed)
    labels = source.choice(classes, rows, p=np.array([6, 2, 1, 1][:classes]) / sum([6, 2, 1, 1][:classes]))
    logits = np.round(source.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[labels], 1)  # Rounded, so that there are ties.
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return Judged(Scored.of(logits, labels), log_p, log_p.argmax(axis=1))


def outcome(of: Judged, rows: "np.ndarray | None" = None) -> Outcome:
    """What `of` says of these rows, which may repeat."""
    rows = np.arange(len(of.labels)) if rows is None else rows
    is_binary = of.log_p.shape[1] == 2
    odds = of.log_p[:, 1] - of.log_p[:, 0]
    scores = np.stack([-odds, odds], axis=1) if is_binary else of.log_p
    return Outcome(rows, of.labels[rows], of.decisions[rows], np.exp(of.log_p[rows]), scores[rows], 1 if is_binary else None)


def evaluated(of: Judged) -> dict[str, float | None]:
    classes = of.log_p.shape[1]
    subject = Subject(
        tuple("abcd"[:classes]), 1 if classes == 2 else None, LossTerms.neutral(classes), (1 / classes,) * classes, EvaluationOptions()
    )
    return {name: metric.value for name, metric in measure(subject, of).whole.items()}


@pytest.mark.parametrize(("classes", "names"), [(2, BINARY), (4, SEVERAL)])
def test_with_every_weight_1_they_are_the_evaluations(classes: int, names: list[StudyMetric]) -> None:
    of = judged(classes)

    found = {name: value_of(measure_of(name, outcome(of)), len(of.labels)) for name in names}

    assert found == pytest.approx(evaluated(of), rel=1e-12)


@pytest.mark.parametrize(("classes", "names"), [(2, BINARY), (4, SEVERAL)])
def test_a_row_that_weighs_2_counts_as_two_rows(classes: int, names: list[StudyMetric]) -> None:
    of = judged(classes)
    weights = next(iter(PoissonWeights(len(of.labels), 5)))

    for name in set(names) - {"ece"}:  # Whose bins hold as many rows each, and so are others when rows repeat.
        drawn = measure_of(name, outcome(of))(weights)
        for draw in range(5):
            repeated = outcome(of, np.repeat(np.arange(len(of.labels)), weights[draw]))
            assert drawn[draw] == pytest.approx(value_of(measure_of(name, repeated), len(repeated.rows)), rel=1e-12), name


@pytest.mark.parametrize("name", BINARY)
def test_what_is_undefined_is_not_a_number(name: StudyMetric) -> None:
    of = judged(2)
    only_negatives = outcome(of, np.flatnonzero(of.labels == 0))

    found = value_of(measure_of(name, only_negatives), len(only_negatives.rows))

    assert (found is None) == (name in ("average_precision", "roc_auc", "mcc", "kappa", "balanced_accuracy", "g_mean", "recall"))


@pytest.mark.parametrize("walked", [1, 100, 7 * 50])
def test_the_draws_are_the_same_however_they_are_cut(monkeypatch: pytest.MonkeyPatch, walked: int) -> None:
    whole = PoissonWeights(7, 50)
    monkeypatch.setattr(outcomes, "_WALKED", walked)
    cut = PoissonWeights(7, 50)

    assert len([*cut]) >= len([*whole])
    assert np.concatenate([*whole]).tolist() == np.concatenate([*cut]).tolist() == np.concatenate([*cut]).tolist()


def test_weights_have_mean_and_variance_1() -> None:
    weights = np.concatenate([*PoissonWeights(2000, 300)])

    assert weights.mean() == pytest.approx(1, abs=0.01)
    assert weights.var() == pytest.approx(1, abs=0.01)


def test_an_outcome_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Outcome(np.arange(1), np.zeros(1, int), np.zeros(1, int), np.array([[np.nan, 1.0]]), np.zeros((1, 2)), 1)


def test_every_room_means_the_same_by_a_metric() -> None:
    assert {name for name in ALL if goal_of_series(f"test/{name}") == "min"} == set(LOWER_IS_BETTER)
    assert goal_of("log_loss") == "min"
