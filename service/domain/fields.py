"""What jobs can be filtered and sorted by, and how its values are written."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args

from counterweight.contracts.jobs import JobState
from counterweight.contracts.learners import ConcreteLearner
from counterweight.contracts.losses import Loss

Comparable = Literal[
    "state",
    "name",
    "created_at",
    "dataset_id",
    "study_id",
    "cohort_id",
    "priority",
    "loss.kind",
    "loss.gamma",
    "learner.kind",
    "labels",
    "metrics",
]
FILTERED: tuple[Comparable, ...] = tuple(name for name in get_args(Comparable) if name != "priority")
SORTED: tuple[Comparable, ...] = tuple(name for name in get_args(Comparable) if name not in ("study_id", "cohort_id"))
KEYED_NAMES: tuple[Comparable, ...] = ("labels", "metrics")
Operator = Literal["=", "!=", "<", "<=", ">", ">="]
OPERATORS: tuple[Operator, ...] = get_args(Operator)


def _kinds(union: Any) -> tuple[str, ...]:
    """The `kind` of each member of a discriminated union."""
    return tuple(member.model_fields["kind"].default for member in get_args(get_args(union)[0]))


WORDS: dict[Comparable, tuple[str, ...]] = {
    "state": get_args(JobState),
    "loss.kind": _kinds(Loss),
    "learner.kind": _kinds(ConcreteLearner),
}
"""Fields whose values are a closed list: a word that is not on it is a slip, and has no order."""

_LABEL_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
KEYED = re.compile(r"""(labels|metrics)\.([A-Za-z0-9][A-Za-z0-9_./:-]{0,199}|"[^"\\\0]{1,200}"|'[^'\\\0]{1,200}')""")
"""A field with a key of the user's own, quoted where it must be."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True)
class Field:
    """Something a job has; `key` is the label's or the metric's name."""

    name: Comparable
    key: str = ""

    @property
    def operators(self) -> tuple[Operator, ...]:
        return ("=", "!=") if self.name in WORDS else OPERATORS

    @property
    def is_numeric(self) -> bool:
        return self.name in ("priority", "loss.gamma", "metrics")


@dataclass(frozen=True)
class Period:
    """A stretch of time: the day or the millisecond that a user wrote. `end` is no longer in it."""

    start: datetime
    end: datetime


Value: TypeAlias = str | float | Period


def field_of(text: str) -> Field | None:
    """Return the field a user wrote, such as `loss.kind`, `labels.team` or `metrics."test/mcc"`; None when there is none like it."""
    keyed = KEYED.fullmatch(text)
    if keyed is not None:
        key = keyed[2].strip("\"'")
        if keyed[1] == "metrics":
            return Field("metrics", key)
        return Field("labels", key) if _LABEL_KEY.fullmatch(key) else None
    return next((Field(name) for name in get_args(Comparable) if name == text and name not in KEYED_NAMES), None)


def spelled(names: tuple[Comparable, ...]) -> str:
    """Return the names of fields as a user writes them."""
    keys = {"labels": "labels.<key>", "metrics": 'metrics."<name>"'}
    return ", ".join(keys.get(name, name) for name in names)


def value_of(field: Field, text: str) -> Value:
    """Return the value that `text` means for `field`; ValueError, with the way out, when it means none."""
    if "\0" in text:
        raise ValueError("a value cannot hold the character NUL")
    if field.name == "created_at":
        return _period(text)
    if field.is_numeric:
        return _number(text)
    words = WORDS.get(field.name, (text,))
    if text not in words:
        raise ValueError(f"{text!r} is not a {field.name}; choose one of {', '.join(words)}")
    return text


def _number(text: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is not a number")
    return number


def _period(text: str) -> Period:
    """A day means all of it, and a time the millisecond that answers show: so that what is shown can be compared with."""
    try:
        start, length = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC), timedelta(days=1)
    except ValueError:
        start, length = _moment(text), timedelta(milliseconds=1)
    try:
        return Period(start, start + length)
    except OverflowError:
        raise ValueError(f"{text!r} is too far off") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a day or a time, such as 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
