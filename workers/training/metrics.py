"""What each row's probabilities are worth, and how rows and decisions meet."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def confusion(labels: NDArray[np.int64], decisions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return how many rows of each class (first index) were called each class (second index)."""
    return np.bincount(labels * classes + decisions, minlength=classes * classes).reshape(classes, classes)


def log_losses(log_probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return each row's -ln p of its true class, from log-probabilities: never clipped."""
    return -log_probabilities[np.arange(len(labels)), labels]


def brier_scores(log_probabilities: Floats, labels: NDArray[np.int64], positive: int | None) -> Floats:
    """Return each row's squared error: of the positive class with two classes, summed over all classes with several."""
    probabilities = np.exp(log_probabilities)
    if positive is not None:
        return np.asarray((probabilities[:, positive] - (labels == positive)) ** 2)
    return np.asarray(((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1))
