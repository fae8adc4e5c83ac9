"""Permutation importance against models whose use of each feature is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from counterweight.contracts.evaluation import EvaluationOptions
from counterweight.contracts.terms import LossTerms
from workers.training import importance
from workers.training.importance import Ranker, permutation_importance
from workers.training.subject import Floats, Subject

BINARY = Subject(("no", "yes"), 1, LossTerms.neutral(2), (0.8, 0.2), EvaluationOptions())
SEVERAL = Subject(("x", "y", "z"), None, LossTerms.neutral(3), (0.7, 0.2, 0.1), EvaluationOptions())
PLACES = {"strong": [0], "weak": [1], "unused": [2, 3]}


def ranker(subject: Subject = BINARY, rows: int = 1500, seed: int = 0) -> Ranker:
    """Return a model of four features, of which the class depends on the first much and on the second a little."""
    source = np.random.default_rng(seed)
    classes = len(subject.classes)
    labels = source.choice(classes, rows, p=subject.shares)
    features = source.normal(size=(rows, 4))
    features[:, 0] += 1.5 * labels
    features[:, 1] += 0.5 * (labels == classes - 1)

    def log_probabilities(some: Tensor) -> Floats:
        x = some.double().numpy()
        logits = np.stack([index * (1.5 * x[:, 0] - 1) + 0.5 * (index == classes - 1) * x[:, 1] for index in range(classes)], axis=1)
        return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))

    return Ranker(subject, torch.from_numpy(features).float(), labels, log_probabilities)


@pytest.mark.parametrize(("subject", "metric"), [(BINARY, "average_precision"), (SEVERAL, "macro_average_precision")])
def test_columns_come_by_what_the_model_makes_of_them(subject: Subject, metric: str) -> None:
    found = permutation_importance(ranker(subject), PLACES, 5)

    assert found.metric == metric
    assert [column.column for column in found.columns] == ["strong", "weak", "unused"]
    strong, weak, unused = found.columns
    assert strong.mean > 5 * weak.mean > 0
    assert (unused.mean, unused.sd) == (0.0, 0.0)
    assert strong.sd > 0


def test_a_model_of_one_column_falls_to_the_prevalence_without_it() -> None:
    model = ranker(rows=20_000)

    found = permutation_importance(model, {"both": [0, 1]}, 3)

    assert found.value is not None
    assert found.value - found.columns[0].mean == pytest.approx((model.labels == 1).mean(), abs=0.015)


def test_all_features_of_a_column_change_rows_together() -> None:
    seen: list[Floats] = []
    model = ranker(rows=50)

    def remember(features: Tensor) -> Floats:
        seen.append(features.numpy().copy())
        return model.log_probabilities(features)

    permutation_importance(Ranker(BINARY, model.features, model.labels, remember), {"a": [1, 3]}, 2)

    plain, *shuffled = seen
    pairs = {tuple(row) for row in plain[:, [1, 3]]}
    assert len(shuffled) == 2
    for features in shuffled:
        np.testing.assert_array_equal(features[:, [0, 2]], plain[:, [0, 2]])
        assert {tuple(row) for row in features[:, [1, 3]]} == pairs
        assert (features[:, 1] != plain[:, 1]).mean() > 0.8
    np.testing.assert_array_equal(model.features.numpy(), plain)


def test_of_many_rows_a_share_of_each_class_is_used_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "MOST_PASSES", 3 * 5 * 300)
    model = ranker(rows=3000)

    found = permutation_importance(model, PLACES, 5)

    assert found.of_rows == 3000
    assert 300 <= found.rows <= 302
    sample = importance._sample(model.labels, 300)
    assert model.labels[sample].mean() == pytest.approx(model.labels.mean(), abs=0.005)
    assert found.columns[0].column == "strong"


def test_without_positives_there_is_no_importance_and_a_reason() -> None:
    model = ranker()
    alone = Ranker(BINARY, model.features, np.zeros_like(model.labels), model.log_probabilities)

    found = permutation_importance(alone, PLACES, 5)

    assert (found.value, found.reason, found.columns) == (None, "no_positive", [])


def test_it_repeats_to_the_last_digit_and_stops_when_cancelled() -> None:
    assert permutation_importance(ranker(), PLACES, 3) == permutation_importance(ranker(), PLACES, 3)
    assert permutation_importance(ranker(), PLACES, 3, lambda: True).columns == []
