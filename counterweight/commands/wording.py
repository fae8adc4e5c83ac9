"""How figures are written on a terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from counterweight.contracts.evaluation import Metric


def measured(metric: "Metric") -> str:
    """A metric with its interval, or why one of them is missing."""
    if metric.value is None:
        return f"undefined: {metric.reason}"
    interval = metric.reason if metric.low is None or metric.high is None else f"{metric.low:.4f} to {metric.high:.4f}"
    return f"{metric.value:.4f} ({interval})"
