"""How figures are written on a terminal."""

from typing import TYPE_CHECKING

from counterweight.reasons import reason

if TYPE_CHECKING:
    from counterweight.contracts.evaluation import Metric
    from counterweight.contracts.jobs import QueueView


def figure(value: float, *, is_signed: bool = False) -> str:
    return f"{value:+.4f}" if is_signed else f"{value:.4f}"


def interval(low: float | None, high: float | None, code: str | None, *, is_signed: bool = False) -> str:
    """An interval, or why there is none."""
    if low is None or high is None:
        return "" if code is None else f"none: {reason(code)}"
    return f"{figure(low, is_signed=is_signed)} to {figure(high, is_signed=is_signed)}"


def measured(metric: "Metric") -> str:
    """A metric with its interval, or why one of them is missing."""
    if metric.value is None:
        return f"undefined: {reason(metric.reason)}"
    told = interval(metric.low, metric.high, metric.reason)
    return f"{figure(metric.value)} ({told.replace('none:', 'no interval:', 1)})" if told else figure(metric.value)


def p_value(value: float) -> str:
    if value >= 0.9995:
        return "1"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def place_in_words(place: "QueueView") -> str:
    """Where a queued job stands, and why: `7 before it, about 4 min; project limit 2 reached: …`."""
    ahead = "next in the queue" if not place.position else f"{place.position} before it in the queue"
    soon = "" if place.eta_s is None else f", starts {about(place.eta_s)}"
    return "; ".join([ahead + soon, *place.blocked_by])


def about(seconds: float) -> str:
    """A wait, as roughly as it is known."""
    if seconds < 1:
        return "at once"
    if seconds < 60:
        return f"in about {seconds:.0f} s"
    return f"in about {seconds / 60:.0f} min" if seconds < 5400 else f"in about {seconds / 3600:.0f} h"
