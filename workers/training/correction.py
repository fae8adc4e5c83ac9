"""From training scores to probabilities: undoing what the loss did to them."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.terms import LossTerms

Floats = NDArray[np.float64]
Base = Literal["raw", "corrected"]


def log_probabilities(logits: Floats, terms: LossTerms, base: Base) -> Floats:
    """Return the log-probabilities (N, C) of the logits as the network has them, or corrected for the loss."""
    return raw_log_probabilities(logits, terms) if base == "raw" else corrected_log_probabilities(logits, terms)


def raw_log_probabilities(logits: Floats, terms: LossTerms) -> Floats:
    """Return log softmax of the (N, C) logits."""
    return _normalised(terms.scale * logits.astype(np.float64))


def corrected_log_probabilities(logits: Floats, terms: LossTerms) -> Floats:
    """Return the log-probabilities (N, C) of nature, for logits that minimise the loss with these terms.

    There the expected gradient is zero. With u, d, L and q as the formula has them for each class as the true one, and p = exp(-L),
    that is so where

        eta ~ exp(u) * (exp(u - s m) + sum of the others' exp(u)) / (w * q^gamma * (1 + gamma p L / q + epsilon (gamma + 1) p))

    A weighted loss learns p ~ w eta, a shifted one adds its shift to the logits; cross-entropy is returned as it is. Between two large
    margins nearly every score is optimal for even odds, so undoing them says little away from the minimum. Label smoothing is left.
    """
    scores = terms.scale * (logits.astype(np.float64) + np.asarray(terms.shift))
    log_weights = np.log(np.asarray(terms.weights))
    if terms.gamma == 0 and terms.epsilon == 0 and not any(terms.margin):
        return _normalised(scores - log_weights)
    others = _log_sum_of_others(scores)
    lead = scores - terms.scale * np.asarray(terms.margin) - others
    return _normalised(scores + others + _softplus(lead) - log_weights - _log_pull(lead, terms.gamma, terms.epsilon))


def _log_pull(lead: Floats, gamma: float, epsilon: float) -> Floats:
    """Return ln(p * -phi'(p)) for the loss phi(p) of a true class that leads by `lead`, without leaving log space; 0 for cross-entropy."""
    surprise = _softplus(-lead)  # -ln p
    log_miss = -_softplus(lead)  # ln(1 - p)
    # ln(-ln p): from a lead of 35 on, -ln p is exp(-lead) to the last digit, and later underflows.
    log_surprise = np.where(lead > 35, -lead, np.log(np.where(lead > 35, 1.0, surprise)))
    focused = gamma * np.exp(log_surprise - surprise - log_miss)
    return gamma * log_miss + np.log1p(focused + epsilon * (gamma + 1) * np.exp(-surprise))


def _log_sum_of_others(scores: Floats) -> Floats:
    """Return, for each class, the log-sum-exp of all other classes' scores."""
    classes = scores.shape[1]
    if classes == 2:
        return scores[:, ::-1]
    others = np.empty_like(scores)
    for index in range(classes):
        rest = np.delete(scores, index, axis=1)
        top = rest.max(axis=1)
        others[:, index] = top + np.log(np.exp(rest - top[:, None]).sum(axis=1))
    return others


def _softplus(x: Floats) -> Floats:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _normalised(scores: Floats) -> Floats:
    """Return log softmax over the last axis."""
    scores = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))
