"""From probabilities to decisions: a threshold for two classes, offsets for several, chosen on the validation rows."""

from dataclasses import dataclass

import numpy as np

from counterweight.contracts.evaluation import BestBy, ThresholdChoice
from counterweight.statistics.offsets import Goal, best_offsets, worth_of
from counterweight.statistics.scores import ScoreCounts
from counterweight.statistics.spread import choose_with_spread
from counterweight.statistics.thresholds import BAYES
from workers.training.calibration import FOLDS, Way, folds_of
from workers.training.ranking import ranked
from workers.training.subject import Floats, Ints, Scored, Subject

FEW_ROWS, FEW_ROWS_OF_A_CLASS = 200, 30
"""With fewer validation rows, what is chosen on them is chosen on probabilities by calibrators fitted without them."""

MANY_ROWS = 20_000
"""From so many on, one fold of five tells enough of what offsets gain."""

MOST_CELLS = 2_000_000
"""More rows times classes are not searched for offsets: it would take minutes."""

GOALS: dict[str, Goal] = {"max_f1": "macro_f1", "max_mcc": "mcc", "max_balanced_accuracy": "balanced_accuracy"}


@dataclass(frozen=True)
class Choice:
    """What was chosen and, where that are not the validation rows' final probabilities, the counted ones it was chosen on."""

    threshold: ThresholdChoice
    apart: ScoreCounts | None


def choose(subject: Subject, way: Way, validation: Scored) -> Choice:
    """Choose the threshold or the offsets.

    Two classes' calibrators keep the order of rows, so that having been fitted on these rows is no gain to speak of; but with few rows
    the probability that the threshold is stands for another place in that order.
    """
    labels = validation.labels
    is_small = len(labels) < FEW_ROWS or int(np.bincount(labels, minlength=len(subject.classes)).min()) < FEW_ROWS_OF_A_CLASS
    if subject.positive is None:
        return Choice(_offsets(subject, way.apart if is_small else way.validation, validation), None)
    # Equal scores stay equal, though the folds' calibrators make them differ.
    is_apart = is_small and way.apart is not way.validation and np.ptp(way.validation[:, subject.positive]) > 0
    log_p = way.apart if is_apart else way.validation
    counts = ranked(np.exp(log_p[:, subject.positive]), labels == subject.positive)
    choice = choose_with_spread(counts, subject.options.threshold, subject.options.confidence)
    return Choice(choice.model_copy(update={"cross_fitted": True}), counts) if is_apart else Choice(choice, None)


def decide(log_p: Floats, threshold: ThresholdChoice, classes: tuple[str, ...], positive: int | None) -> Ints:
    """Return the class each row (N, C) is called: by the threshold, 0.5 where none could be chosen, or the likeliest after offsets."""
    if positive is None:
        return np.asarray((log_p + [threshold.offsets.get(label, 0.0) for label in classes]).argmax(axis=1))
    is_called = np.exp(log_p[:, positive]) >= (BAYES if threshold.value is None else threshold.value)
    return np.where(is_called, positive, 1 - positive)


def _offsets(subject: Subject, log_p: Floats, validation: Scored) -> ThresholdChoice:
    """Return offsets that gain on rows they were not fitted on, fitted on all; zeros, with the reason, where there are none."""
    policy, none = subject.options.threshold, np.zeros(len(subject.classes))
    counts = np.bincount(validation.labels, minlength=len(subject.classes))
    if not isinstance(policy, BestBy):
        return _told(subject, none, "policy")
    if counts.min() < FEW_ROWS_OF_A_CLASS:
        return _told(subject, none, "too_few")
    if log_p.size > MOST_CELLS:
        return _told(subject, none, "too_large")
    goal = GOALS[policy.policy]
    gain = _cross_fitted_gain(log_p, validation, goal)
    if gain <= 0:
        return _told(subject, none, "no_gain", gain)
    return _told(subject, best_offsets(log_p, validation.labels, goal), None, gain)


def _cross_fitted_gain(log_p: Floats, validation: Scored, goal: Goal) -> float:
    """Return by how much the metric rises over calling the likeliest, on rows whose offsets were fitted without them."""
    labels, folds, classes = validation.labels, folds_of(validation), log_p.shape[1]
    called = log_p.argmax(axis=1)
    plain, judged = called.copy(), range(FOLDS if len(labels) < MANY_ROWS else 1)
    for fold in judged:
        offsets = best_offsets(log_p[folds != fold], labels[folds != fold], goal)
        called[folds == fold] = (log_p[folds == fold] + offsets).argmax(axis=1)
    seen = folds < len(judged)
    return worth_of(goal, labels[seen], called[seen], classes) - worth_of(goal, labels[seen], plain[seen], classes)


def _told(subject: Subject, offsets: Floats, why: str | None, gain: float | None = None) -> ThresholdChoice:
    return ThresholdChoice(
        policy=subject.options.threshold.policy,
        value=None,
        reason="several_classes",
        offsets=dict(zip(subject.classes, offsets.tolist(), strict=True)),
        offsets_reason=why,
        gain=gain,
    )
