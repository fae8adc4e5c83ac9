"""The filter of a list: `field = value AND field = value …`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from counterweight.contracts.jobs import JobState
from service.domain.errors import Invalid

FIELDS = ("state", "name", "dataset_id", "loss.kind", "learner.kind")
_LABEL = re.compile(r"labels\.[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<equals>=)
      | (?P<word>[^\s"'=<>!()]+)""",
    re.VERBOSE,
)
MAX_LENGTH = 2000


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int


def parse(text: str) -> list[tuple[str, str]]:
    """Return the (field, value) pairs that must all hold; Invalid, with the column, for anything else."""
    if len(text) > MAX_LENGTH:
        raise _refused(MAX_LENGTH + 1, f"a filter has at most {MAX_LENGTH} characters")
    tokens = list(_tokens(text))
    if not tokens:
        return []
    end = _Token("end", "the end", len(text) + 1)
    conditions = []
    for start in range(0, len(tokens), 4):
        field, equals, value, link = (tokens[start : start + 4] + [end] * 4)[:4]
        conditions.append(_condition(field, equals, value))
        if link is not end and link.text.upper() != "AND":
            raise _refused(link.column, f"expected AND, found {link.text!r}")
        if link is not end and start + 4 >= len(tokens):
            raise _refused(end.column, "expected another condition after AND")
    return conditions


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            unclosed = text[position] in "\"'"
            raise _refused(
                position + 1, "this quote is never closed" if unclosed else f"{text[position]!r} is not understood here; only `=` is"
            )
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match.group(), position + 1)
        position = match.end()


def _condition(field: _Token, equals: _Token, value: _Token) -> tuple[str, str]:
    if field.text not in FIELDS and not _LABEL.fullmatch(field.text):
        raise _refused(field.column, f"{field.text!r} is not a field to filter by; choose one of {', '.join(FIELDS)}, labels.<key>")
    if equals.kind != "equals":
        raise _refused(equals.column, f"expected `=` after {field.text}, found {equals.text!r}")
    if value.kind not in ("word", "quoted"):
        raise _refused(value.column, f"expected a value, found {value.text!r}")
    wanted = re.sub(r"\\(.)", r"\1", value.text[1:-1], flags=re.DOTALL) if value.kind == "quoted" else value.text
    if "\0" in wanted:
        raise _refused(value.column, "a value cannot hold the character NUL")
    if field.text == "state" and wanted not in get_args(JobState):
        raise _refused(value.column, f"{wanted!r} is not a state; choose one of {', '.join(get_args(JobState))}")
    return field.text, wanted


def _refused(column: int, message: str) -> Invalid:
    return Invalid.at("/filter", "bad_filter", f"filter, column {column}: {message}")
