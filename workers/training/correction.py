"""From training scores to probabilities: undoing what the loss did to them."""

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.losses import LossTerms

Floats = NDArray[np.float64]


def raw_log_probabilities(logits: Floats, terms: LossTerms) -> Floats:
    """Return log softmax of the (N, C) logits."""
    return _normalised(terms.scale * logits.astype(np.float64))


def corrected_log_probabilities(logits: Floats, terms: LossTerms) -> Floats:
    """Return the log-probabilities (N, C) of nature, for logits that minimise the loss with these terms.

    A weighted loss learns p_k ~ w_k eta_k, a shifted one adds its shift to the logits, and focal loss with gamma g has its minimum
    where eta_k ~ h(p_k) / w_k, h(v) = v / ((1-v)^g - g (1-v)^(g-1) v ln v). Cross-entropy is returned as it is. Margins and
    label smoothing are not undone: they leave no formula that holds away from the minimum.
    """
    scores = terms.scale * (logits.astype(np.float64) + np.asarray(terms.shift))
    log_weights = np.log(np.asarray(terms.weights))
    log_p = _normalised(scores)
    if terms.gamma == 0:
        return _normalised(log_p - log_weights)
    return _normalised(_log_h(scores, terms.gamma) - log_weights)


def _log_h(scores: Floats, gamma: float) -> Floats:
    """Return ln h(p) of the softmax p of `scores`: ln p - g ln(1-p) - ln(1 + g p (-ln p) / (1-p)), without leaving log space."""
    margin = scores - _log_sum_of_others(scores)
    surprise = _softplus(-margin)  # -ln p
    log_miss = -_softplus(margin)  # ln(1 - p)
    # ln(-ln p): from a margin of 35 on, -ln p is exp(-margin) to the last digit, and later underflows.
    log_surprise = np.where(margin > 35, -margin, np.log(np.where(margin > 35, 1.0, surprise)))
    return -surprise - gamma * log_miss - np.log1p(gamma * np.exp(log_surprise - surprise - log_miss))


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
