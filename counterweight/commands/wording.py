"""How figures are written on a terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from counterweight.contracts.evaluation import Metric


def figure(value: float, *, is_signed: bool = False) -> str:
    return f"{value:+.4f}" if is_signed else f"{value:.4f}"


def interval(low: float | None, high: float | None, reason: str | None, *, is_signed: bool = False) -> str:
    """An interval, or why there is none."""
    if low is None or high is None:
        return reason or ""
    return f"{figure(low, is_signed=is_signed)} to {figure(high, is_signed=is_signed)}"


def measured(metric: "Metric") -> str:
    """A metric with its interval, or why one of them is missing."""
    if metric.value is None:
        return f"undefined: {metric.reason}"
    return f"{figure(metric.value)} ({interval(metric.low, metric.high, metric.reason)})"


def p_value(value: float) -> str:
    if value >= 0.9995:
        return "1"
    return "<0.001" if value < 0.001 else f"{value:.3f}"
