"""The filter of a list of jobs: `state = succeeded AND NOT (loss.kind = focal OR labels.team IN (risk, "credit cards"))`.

    either     = both {"OR" both}
    both       = one {"AND" one}
    one        = "NOT" one | "(" either ")" | comparison
    comparison = field operator value | field "IN" "(" value {"," value} ")"

A comparison with something that a job does not have is false, whatever the operator; NOT turns a condition into its exact
opposite. So each job meets either a condition or its NOT, never both and never neither.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from service.domain.errors import Invalid
from service.domain.fields import FILTERED, KEYED, OPERATORS, Field, Operator, Value, field_of, spelled, value_of

MAX_LENGTH = 2000
MAX_DEPTH = 32
MAX_COMPARISONS = 50

_TOKEN = re.compile(
    rf"""(?P<space>\s+)
       | (?P<keyed>{KEYED.pattern})(?=[\s=<>!(),]|\Z)
       | (?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
       | (?P<mark>!=|<=|>=|[=<>(),])
       | (?P<word>[^\s"'=<>!(),]+)""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = ("AND", "OR", "NOT", "IN")


@dataclass(frozen=True)
class Comparison:
    """One of `values` for `=`, none of them for `!=`; for the others there is exactly one."""

    field: Field
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Not:
    inner: "Condition"


@dataclass(frozen=True)
class Junction:
    """All of `parts`, or any of them."""

    link: Literal["AND", "OR"]
    parts: tuple["Condition", ...]


Condition: TypeAlias = Comparison | Not | Junction


def parse(text: str) -> Condition | None:
    """Return what a filter means, None for an empty one; Invalid, with the column, for what is no filter."""
    if len(text) > MAX_LENGTH:
        raise _refused(MAX_LENGTH + 1, f"a filter has at most {MAX_LENGTH} characters")
    return _Parser(text).whole()


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    column: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            unclosed = text[position] in "\"'"
            raise _refused(position + 1, "this quote is never closed" if unclosed else f"{text[position]!r} is not understood here")
        if match.lastgroup != "space":
            is_keyword = match.lastgroup == "word" and match.group().upper() in _KEYWORDS
            yield _Token("keyword" if is_keyword else str(match.lastgroup), match.group(), position + 1)
        position = match.end()
    yield _Token("end", "", len(text) + 1)


class _Parser:
    """Reads a filter from left to right, one token ahead."""

    def __init__(self, text: str) -> None:
        self._remaining = iter(list(_tokens(text)))
        self._next = next(self._remaining)
        self._depth = self._comparisons = 0

    def whole(self) -> Condition | None:
        if self._next.kind == "end":
            return None
        condition = self._either()
        if self._next.kind != "end":
            raise self._unexpected("AND or OR")
        return condition

    def _either(self) -> Condition:
        return self._joined("OR", self._both)

    def _both(self) -> Condition:
        return self._joined("AND", self._one)

    def _joined(self, link: Literal["AND", "OR"], part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._takes(link):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(link, tuple(parts))

    def _one(self) -> Condition:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(self._next.column, f"a filter is nested at most {MAX_DEPTH} levels deep")
        if self._takes("NOT"):
            condition: Condition = Not(self._one())
        elif self._takes("("):
            condition = self._either()
            self._expect(")", "AND, OR or `)`")
        else:
            condition = self._comparison()
        self._depth -= 1
        return condition

    def _comparison(self) -> Comparison:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            raise _refused(self._next.column, f"a filter has at most {MAX_COMPARISONS} comparisons")
        field = self._field()
        if self._takes("IN"):
            self._expect("(", "`(` after IN")
            values = [self._value(field)]
            while self._takes(","):
                values.append(self._value(field))
            self._expect(")", "`,` or `)`")
            return Comparison(field, "=", tuple(values))
        operator = next((known for known in OPERATORS if known == self._next.text and self._next.kind == "mark"), None)
        if operator not in field.operators:
            raise self._unexpected(f"{', '.join(field.operators)} or IN")
        self._advance()
        assert operator is not None
        return Comparison(field, operator, (self._value(field),))

    def _field(self) -> Field:
        token = self._next
        if token.kind not in ("word", "keyed"):
            raise self._unexpected("a field")
        field = field_of(token.text)
        if field is None or field.name not in FILTERED:
            raise _refused(token.column, f"{token.text!r} is no field to filter by; choose one of {spelled(FILTERED)}")
        self._advance()
        return field

    def _value(self, field: Field) -> Value:
        token = self._next
        if token.kind not in ("word", "keyed", "quoted"):
            raise self._unexpected("a value; a word that means something here is quoted")
        text = re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL) if token.kind == "quoted" else token.text
        try:
            value = value_of(field, text)
        except ValueError as error:
            raise _refused(token.column, str(error)) from None
        self._advance()
        return value

    def _takes(self, wanted: str) -> bool:
        """Whether the next token is this keyword or mark; it is passed then."""
        found = self._next.kind in ("keyword", "mark") and self._next.text.upper() == wanted
        if found:
            self._advance()
        return found

    def _expect(self, wanted: str, described: str) -> None:
        if not self._takes(wanted):
            raise self._unexpected(described)

    def _advance(self) -> None:
        self._next = next(self._remaining)

    def _unexpected(self, wanted: str) -> Invalid:
        return _refused(self._next.column, f"expected {wanted}, found {self._next}")


def _refused(column: int, message: str) -> Invalid:
    return Invalid.at("/filter", "bad_filter", f"filter, column {column}: {message}")
