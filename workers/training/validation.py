"""What is measured on the validation rows after each epoch, and which of it decides when to stop."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from counterweight.contracts.jobs import EarlyStopping
from counterweight.contracts.terms import LossTerms
from workers.training.correction import corrected_log_probabilities
from workers.training.metrics import log_losses
from workers.training.ranking import average_precision, ranked

AVERAGE_PRECISION = "validation/average_precision"
LOG_LOSS = "validation/log_loss"

FEWEST_STOPPING_ROWS = 30
"""With fewer validation rows of a class, average precision says too little to stop by (docs/decisions/0005-one-matrix-of-parameters.md)."""


def validation_values(logits: NDArray[np.float64], labels: NDArray[np.int64], terms: LossTerms, positive: int | None) -> dict[str, float]:
    """Return the series of one epoch, from logits (N, C): log-loss of the corrected probabilities, and average precision.

    Average precision is the positive class's, or the mean over all classes; it is left out where a class has no row.
    """
    log_p = corrected_log_probabilities(logits, terms)
    values = {LOG_LOSS: float(log_losses(log_p, labels).mean())}
    # Two classes rank by the difference of their logits: no probability rounds to 1 and ties rows that differ.
    if positive is not None:
        precisions = [average_precision(ranked(logits[:, positive] - logits[:, 1 - positive], labels == positive)).value]
    else:
        precisions = [average_precision(ranked(log_p[:, index], labels == index)).value for index in range(log_p.shape[1])]
    known = [value for value in precisions if value is not None]
    if len(known) == len(precisions):
        values[AVERAGE_PRECISION] = float(np.mean(known))
    return values


@dataclass
class Watch:
    """Which epoch was best so far, and whether to wait for a better one: `since` is the last epoch before patience counts anew."""

    stopping: EarlyStopping | None
    best_epoch: int = 0
    best: float = -np.inf
    since: int = 0

    def is_best(self, epoch: int, values: dict[str, float]) -> bool:
        """Take in an epoch's values; return whether it is the best yet. Without early stopping the last is the best."""
        if self.stopping is None:
            self.best_epoch = epoch
            return True
        worth = values[AVERAGE_PRECISION] if self.stopping.metric == "average_precision" else -values[LOG_LOSS]
        if worth > self.best:
            self.best, self.best_epoch = worth, epoch
            return True
        return False

    def is_over(self, epoch: int) -> bool:
        return self.stopping is not None and epoch - max(self.best_epoch, self.since) >= self.stopping.patience
