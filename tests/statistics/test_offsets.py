"""Offsets of several classes: against slow ways to the same numbers, and what they promise."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef

from counterweight.statistics import offsets
from counterweight.statistics.offsets import Goal, best_offsets, worth_of

GOALS: list[Goal] = ["macro_f1", "mcc", "balanced_accuracy"]
some_goals = st.sampled_from(GOALS)


def rows(count: int = 300, classes: int = 4, seed: int = 0, digits: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return log-probabilities, many of them tied, and labels, of which each class has some."""
    source = np.random.default_rng(seed)
    shares = 2.0 ** -np.arange(classes)
    labels = source.choice(classes, count, p=shares / shares.sum())
    labels[: 3 * classes] = np.arange(3 * classes) % classes
    logits = np.round(source.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels] + np.log(shares), digits)
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True), labels


def worth(log_p: np.ndarray, labels: np.ndarray, shifts: np.ndarray, goal: Goal) -> float:
    return worth_of(goal, labels, (log_p + shifts).argmax(axis=1), log_p.shape[1])


@given(st.integers(0, 10_000))
def test_the_worth_of_decisions_is_scikit_learn_s(seed: int) -> None:
    log_p, labels = rows(seed=seed)
    called = log_p.argmax(axis=1)

    assert worth_of("macro_f1", labels, called, 4) == pytest.approx(f1_score(labels, called, average="macro", zero_division=0))
    assert worth_of("mcc", labels, called, 4) == pytest.approx(matthews_corrcoef(labels, called))
    assert worth_of("balanced_accuracy", labels, called, 4) == pytest.approx(balanced_accuracy_score(labels, called))


@settings(deadline=None)
@given(some_goals, st.integers(0, 10_000))
def test_moving_one_class_alone_is_as_good_as_trying_every_value(goal: Goal, seed: int) -> None:
    log_p, labels = rows(count=80, classes=3, seed=seed)
    order = np.argsort(np.bincount(labels), kind="stable")

    first = np.zeros(3)
    first[order[0]] = best_offsets_of_one_round(log_p, labels, goal)[order[0]]

    turns = np.sort(np.delete(log_p, order[0], axis=1).max(axis=1) - log_p[:, order[0]])
    apart = turns[1:] > turns[:-1] + offsets.TIED
    values = [0.0, *((turns[1:] + turns[:-1]) / 2)[apart]]
    tried = [worth(log_p, labels, np.where(np.arange(3) == order[0], value, 0.0), goal) for value in values]
    assert worth(log_p, labels, first, goal) >= max(tried) - 1e-12


def best_offsets_of_one_round(log_p: np.ndarray, labels: np.ndarray, goal: Goal) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offsets, "MOST_ROUNDS", 1)
        return best_offsets(log_p, labels, goal)


@settings(deadline=None)
@given(some_goals, st.integers(0, 10_000), st.integers(2, 6))
@example("mcc", 1531, 2)  # rows that tie but for rounding
def test_offsets_never_lose_on_the_rows_they_were_found_on(goal: Goal, seed: int, classes: int) -> None:
    log_p, labels = rows(classes=classes, seed=seed)

    found = best_offsets(log_p, labels, goal)

    assert worth(log_p, labels, found, goal) >= worth(log_p, labels, np.zeros(classes), goal) - 1e-12
    assert found[np.bincount(labels).argmax()] == 0


@settings(deadline=None)
@given(some_goals, st.integers(0, 10_000))
def test_neither_the_order_of_rows_nor_a_constant_of_a_row_matters(goal: Goal, seed: int) -> None:
    log_p, labels = rows(seed=seed, digits=9)
    order = np.random.default_rng(seed).permutation(len(labels))

    found = best_offsets(log_p, labels, goal)

    np.testing.assert_array_equal(best_offsets(log_p[order], labels[order], goal), found)
    np.testing.assert_allclose(best_offsets(log_p + np.arange(len(labels))[:, None] % 7, labels, goal), found, atol=1e-9)


def test_two_classes_find_what_a_threshold_finds() -> None:
    log_p, labels = rows(count=500, classes=2, seed=3, digits=9)

    found = best_offsets(log_p, labels, "balanced_accuracy")

    odds = log_p[:, 1] - log_p[:, 0]
    best = max(balanced_accuracy_score(labels, odds >= each) for each in odds)
    assert worth(log_p, labels, found, "balanced_accuracy") == pytest.approx(best)


def test_calibrated_probabilities_are_best_balanced_by_their_priors() -> None:
    source = np.random.default_rng(0)
    priors = np.array([0.8, 0.15, 0.05])
    labels = source.choice(3, 200_000, p=priors)
    # Normal clouds of spread 1 around the corners of a triangle: the posterior is known.
    corners = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    x = corners[labels] + source.normal(size=(len(labels), 2))
    logits = x @ corners.T - (corners**2).sum(axis=1) / 2 + np.log(priors)
    log_p = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)

    found = best_offsets(log_p, labels, "balanced_accuracy")

    np.testing.assert_allclose(found, np.log(priors[0]) - np.log(priors), atol=0.15)
