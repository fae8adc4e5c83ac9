"""How one cell becomes a value, as SQL: each function returns an expression over a text column.

`number` and its kin take the cell as written; the others take it `bare`, without surrounding blanks. No expression changes a
value silently: a cell that does not fit its column calls `error`, and the reader then looks closer.
"""

from dataclasses import dataclass

from workers.ingest.engine import quoted
from workers.ingest.numbers import INTEGER, ISO_MOMENT, LARGEST_EXACT_INTEGER, NOT_A_NUMBER, NOT_FINITE, NUMBER, PADDED_NUMBER, is_number

MISFIT = "cell does not fit its column"
BLANKS = " \t\r\n\v\f\u00a0"
TRUE_WORDS = ("true", "t", "yes", "y", "1")
FALSE_WORDS = ("false", "f", "no", "n", "0")

KINDS = ("missing", "number", "padded", "large", "not_a_number", "not_finite", "other")
"""What a cell of a numeric column may be.

`number` is one of any spelling, `padded` begins with a zero, `large` is an integer that a DOUBLE cannot hold exactly.
"""


@dataclass(frozen=True)
class Notation:
    """How the file writes decimals and missing cells. Blank cells are always missing."""

    decimal: str
    missing_words: tuple[str, ...]


def number(cell: str, double: str, notation: Notation, accepted: frozenset[str]) -> str:
    """Return a DOUBLE; `accepted` are the KINDS that the column may hold beside plainly written numbers and missing cells.

    With none, the expression is short: thousands of them are planned in a second.
    """
    if accepted:
        doubles = {"number", "padded", "large"} & accepted
        nulls = {"missing", "not_a_number"} & (accepted | {"missing"})
        branches = [f"WHEN '{kind}' THEN {double}" for kind in sorted(doubles)] + [f"WHEN '{kind}' THEN NULL" for kind in sorted(nulls)]
        rest = f"CASE {_kind_of_the_rest(cell, double, notation)} {' '.join(branches)} ELSE {_misfit('DOUBLE')} END"
    else:
        rest = f"CASE WHEN {is_missing(bare(cell), notation)} THEN NULL ELSE {_misfit('DOUBLE')} END"
    return f"CASE WHEN {_is_plainly_number(cell, double, notation)} THEN {double} ELSE {rest} END"


def is_doubtful_number(cell: str, double: str, notation: Notation) -> str:
    """Say whether `number` would not take the cell without accepting some of KINDS."""
    return f"NOT coalesce({_is_plainly_number(cell, double, notation)}, false) AND NOT {is_missing(bare(cell), notation)}"


def or_null(value: str) -> str:
    """Return the expression with NULL for cells that do not fit."""
    return value.replace(f"error({quoted(MISFIT)})", "NULL")


def as_double(cell: str, notation: Notation) -> str:
    """Return the cell's text as a DOUBLE, NULL when it is none; laxer than `number`, which must judge it."""
    return f"TRY_CAST({_with_point(cell, notation)} AS DOUBLE)"


def kind_of_number(cell: str, double: str, notation: Notation) -> str:
    """Return which of KINDS the cell is."""
    return f"CASE WHEN {_is_plainly_number(cell, double, notation)} THEN 'number' ELSE {_kind_of_the_rest(cell, double, notation)} END"


def bare(cell: str) -> str:
    """Return the cell without surrounding blanks of any sort."""
    return f"trim({cell}, {quoted(BLANKS)})"


def bare_where_needed(cell: str) -> str:
    """Return `bare`, trimming only cells that may have blanks: a longer expression, in a fifth of the time where few have."""
    has_none = f"{cell} >= '!' AND {cell} < '\x7f' AND right({cell}, 1) BETWEEN '!' AND '~'"
    return f"CASE WHEN {has_none} THEN {cell} ELSE {bare(cell)} END"


def whole_number(cell: str, notation: Notation) -> str:
    """Return a BIGINT, for columns of integers that a DOUBLE would round."""
    parsed = f"TRY_CAST({cell} AS BIGINT)"
    fits = f"regexp_full_match({cell}, {quoted(INTEGER)}) AND {parsed} IS NOT NULL"
    return f"CASE WHEN {is_missing(cell, notation)} THEN NULL WHEN {fits} THEN {parsed} ELSE {_misfit('BIGINT')} END"


def text(cell: str, notation: Notation) -> str:
    """Return the text, NULL when it means missing."""
    return f"CASE WHEN {is_missing(cell, notation)} THEN NULL ELSE {cell} END"


def label(cell: str, notation: Notation) -> str:
    """Return the text without one pair of quotes of either sort."""
    in_quotes = f"left({cell}, 1) IN ('''', '\"') AND strlen({cell}) >= 2 AND left({cell}, 1) = right({cell}, 1)"
    inner = bare(f"substr({cell}, 2, length({cell}) - 2)")
    unquoted = f"CASE WHEN {is_missing(inner, notation)} THEN NULL ELSE {inner} END"
    return f"CASE WHEN {is_missing(cell, notation)} THEN NULL WHEN {in_quotes} THEN {unquoted} ELSE {cell} END"


def moment(cell: str, notation: Notation) -> str:
    """Return a TIMESTAMP from an ISO date, with or without a time, in UTC or without a zone."""
    parsed = f"TRY_CAST({cell} AS TIMESTAMP)"
    fits = f"regexp_full_match({cell}, {quoted(ISO_MOMENT)}) AND {parsed} IS NOT NULL"
    return f"CASE WHEN {is_missing(cell, notation)} THEN NULL WHEN {fits} THEN {parsed} ELSE {_misfit('TIMESTAMP')} END"


def truth(cell: str, notation: Notation) -> str:
    """Return a BOOLEAN from TRUE_WORDS and FALSE_WORDS, in any case."""
    return (
        f"CASE WHEN {is_missing(cell, notation)} THEN NULL WHEN lower({cell}) IN {_words(TRUE_WORDS)} THEN true "
        f"WHEN lower({cell}) IN {_words(FALSE_WORDS)} THEN false ELSE {_misfit('BOOLEAN')} END"
    )


def is_missing(cell: str, notation: Notation) -> str:
    """Say whether a bare cell means missing."""
    return f"({cell} IS NULL OR {cell} IN {_words(('', *notation.missing_words))})"


def _is_plainly_number(cell: str, double: str, notation: Notation) -> str:
    """Return a quick test that most numbers pass and nothing else does; comparing text is cheaper than matching a pattern."""
    not_padded = (
        f"CASE WHEN {cell} >= '1' THEN true WHEN {cell} >= '0.' THEN {cell} < '00' "
        f"ELSE {cell} = '0' OR ({cell} >= '-' AND NOT ({cell} >= '-00' AND {cell} < '-0:')) END"
    )
    tests = [f"abs({double}) < {LARGEST_EXACT_INTEGER}", not_padded, f"NOT contains({cell}, '_')"]
    if notation.decimal != ".":
        tests.append(f"NOT contains({cell}, '.')")
    numeric_words = [word for word in notation.missing_words if is_number(word.strip(), notation.decimal)]
    if numeric_words:
        tests.append(f"trim({cell}) NOT IN {_words(numeric_words)}")
    return "(" + " AND ".join(tests) + ")"


def _kind_of_the_rest(cell: str, double: str, notation: Notation) -> str:
    """Return which of KINDS a cell is that did not pass the quick test."""
    written = _with_point(bare(cell), notation)
    foreign = f"contains({cell}, '.') OR " if notation.decimal != "." else ""
    return (
        f"CASE WHEN {is_missing(bare(cell), notation)} THEN 'missing' "
        f"WHEN regexp_full_match({bare(cell)}, {quoted(NOT_A_NUMBER)}) THEN 'not_a_number' "
        f"WHEN regexp_full_match({bare(cell)}, {quoted(NOT_FINITE)}) THEN 'not_finite' "
        f"WHEN {foreign}{double} IS NULL THEN 'other' "
        f"WHEN regexp_full_match({written}, {quoted(PADDED_NUMBER)}) THEN 'padded' "
        f"WHEN NOT regexp_full_match({written}, {quoted(NUMBER)}) THEN 'other' "
        f"WHEN NOT isfinite({double}) THEN 'not_finite' "
        f"WHEN abs({double}) >= {LARGEST_EXACT_INTEGER} AND regexp_full_match({written}, {quoted(INTEGER)}) THEN 'large' "
        "ELSE 'number' END"
    )


def _with_point(cell: str, notation: Notation) -> str:
    return cell if notation.decimal == "." else f"replace({cell}, {quoted(notation.decimal)}, '.')"


def without_missing(written: str, cell: str, notation: Notation) -> str:
    """Return the SQL value of a typed cell, NULL where what it is written as means missing."""
    return f"CASE WHEN {written} IN {_words(notation.missing_words)} THEN NULL ELSE {cell} END" if notation.missing_words else cell


def _words(words: tuple[str, ...] | list[str]) -> str:
    return "(" + ", ".join(quoted(word) for word in words) + ")"


def _misfit(sql_type: str) -> str:
    return f"error({quoted(MISFIT)})::{sql_type}"
