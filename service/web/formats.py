"""How numbers, times and settings are written for people."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from counterweight.contracts.evaluation import ColumnImportance
from counterweight.reasons import offsets_reason, reason

LOSS_NAMES = {
    "cross_entropy": "Cross-entropy",
    "balanced_cross_entropy": "Balanced CE",
    "focal": "Focal",
    "logit_adjusted": "Logit-adjusted",
    "balanced_softmax": "Balanced softmax",
    "ldam": "LDAM",
    "poly": "Poly-1",
}

METRIC_NAMES = {
    "average_precision": "Average precision",
    "roc_auc": "ROC AUC",
    "log_loss": "Log-loss",
    "brier": "Brier score",
    "ece": "Calibration error",
    "mcc": "Matthews correlation",
    "balanced_accuracy": "Balanced accuracy",
    "g_mean": "G-mean",
    "f1": "F1",
    "kappa": "Cohen's kappa",
    "macro_roc_auc_ovr": "Macro ROC AUC",
    "macro_f1": "Macro F1",
    "macro_average_precision": "Macro average precision",
}

POLICY_NAMES = {
    "max_f1": "highest F1",
    "max_mcc": "highest MCC",
    "max_balanced_accuracy": "highest balanced accuracy",
    "min_cost": "lowest cost",
}
"""Here and in `charts/threshold.js`."""

TOLD_OF_SUBGROUPS = ("average_precision", "recall", "precision", "specificity", "log_loss")
TOLD_OF_SEVERAL = ("macro_average_precision", "macro_f1", "macro_recall", "accuracy", "log_loss")
"""Metrics in the table of subgroups, of two classes and of several: as many as fit beside each other."""

SYMBOLS = {"gamma": "γ", "alpha": "α", "tau": "τ", "beta": "β", "epsilon": "ε", "label_smoothing": "smoothing", "max_margin": "margin"}


def number(value: float) -> str:
    """Four significant digits; a thousand or more whole, with commas."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def score(value: float) -> str:
    """A metric: three decimals, so that columns of them line up; what is too small for that keeps its first digits."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.001 else f"{value:.1e}"


def percent(fraction: float) -> str:
    share = 100 * fraction
    if share >= 1 or share == 0:
        return f"{share:.1f}%"
    return f"{share:.2g}%"


def count(value: int) -> str:
    return f"{value:,}"


def size(count_of_bytes: int) -> str:
    amount = float(count_of_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def duration(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def ago(moment: datetime, now: datetime) -> str:
    """How long ago, in its largest unit."""
    seconds = max(0.0, (now - moment).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago" if seconds >= 5 else "just now"


def instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def loss_name(kind: str) -> str:
    return LOSS_NAMES.get(kind, words(kind))


def metric_name(name: str) -> str:
    return METRIC_NAMES.get(name, words(name))


def policy_name(policy: str) -> str:
    return POLICY_NAMES.get(policy, words(policy).lower())


def sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) (?=[A-Z0-9])", text)


def words(name: str) -> str:
    """`balanced_accuracy` as a person writes it."""
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def ends_of_falls(columns: Sequence[ColumnImportance]) -> tuple[float, float]:
    """Between which numbers all falls and their deviations lie, and nought."""
    least = min(0.0, *(column.mean - column.sd for column in columns))
    return least, max(least + 1e-9, *(column.mean + column.sd for column in columns))


def told_of_subgroups(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """Which of a part's metrics its subgroups are told by, the first of them with a bar."""
    return TOLD_OF_SUBGROUPS if "average_precision" in metrics else TOLD_OF_SEVERAL


def parameters(choice: BaseModel) -> str:
    """The settings of a loss in one line: `γ 2 · α balanced`; those not in force, and words that are the default, are left out."""
    told = []
    for name, value in choice:
        is_usual = value == type(choice).model_fields[name].default and (not value or isinstance(value, (bool, str)))
        if name == "kind" or value is None or is_usual:
            continue
        told.append(f"{SYMBOLS.get(name, name.replace('_', ' '))} {setting(value)}")
    return " · ".join(told)


def setting(value: Any) -> str:
    """A value of a specification, in one line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {setting(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(setting(inner) for inner in value) or "none"
    return str(value)


def hyphened(name: str) -> str:
    """`cross_entropy` as the style sheets name it."""
    return name.replace("_", "-")


FILTERS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        *(number, score, percent, count, size, duration, ago, instant, loss_name),
        *(ends_of_falls, told_of_subgroups),
        *(metric_name, policy_name, sentences, words, reason, offsets_reason, parameters, setting, hyphened),
    )
}
"""What templates write values with."""
