"""What counts as a number, a date or a missing cell: the same rule for the sniffer here and for SQL in `cells`."""

import re

LARGEST_EXACT_INTEGER = 2**53
"""From here on a DOUBLE skips integers."""

# "007" is a code and not the number 7: a zero before another digit makes a cell text. No look-ahead, so that RE2 knows it too.
NUMBER = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
PADDED_NUMBER = r"[+-]?0[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
INTEGER = r"[+-]?[0-9]+"
NOT_FINITE = r"(?i:[+-]?inf(?:inity)?)"
NOT_A_NUMBER = r"(?i:[+-]?nan)"
ISO_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?Z?)?"

_NUMBER = re.compile(NUMBER)
_WORD = re.compile(f"{NOT_FINITE}|{NOT_A_NUMBER}")
_ISO_MOMENT = re.compile(ISO_MOMENT)


def is_number(cell: str, decimal: str = ".") -> bool:
    """Say whether a stripped cell is written as a finite number with this decimal sign."""
    if decimal != ".":
        if "." in cell:
            return False
        cell = cell.replace(decimal, ".")
    return _NUMBER.fullmatch(cell) is not None


def is_numeric_word(cell: str) -> bool:
    """Say whether a cell is `nan` or `inf`, as programs write them among numbers."""
    return _WORD.fullmatch(cell) is not None


def is_iso_moment(cell: str) -> bool:
    """Say whether a cell looks like an ISO 8601 date, or date and time, in UTC or without a zone."""
    return _ISO_MOMENT.fullmatch(cell) is not None
