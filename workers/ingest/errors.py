"""What stops a file from being read: always something its owner can find and mend."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN_CHARACTERS = 60


class Unreadable(Exception):
    """The file cannot be read: `code` for programs, `detail` for people (where, what was found, what to do)."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def shown(value: object) -> str:
    """Return a value from the file in quotes, cut short and without control characters."""
    text = str(value)
    cut = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
    return repr(cut)


def listed(names: Iterable[str], at_most: int = 8) -> str:
    """Return `a, b, c, …`: enough names to recognise the rest by."""
    every = list(names)
    return ", ".join(shown(name) for name in every[:at_most]) + (f", … ({len(every)} in all)" if len(every) > at_most else "")


def unknown_column(wanted: str, names: list[str], told_by: str) -> Unreadable:
    """Return the refusal of a column name that the file does not have, with the names it may have been."""
    by_folded = {name.casefold().strip(): name for name in names}
    near = [by_folded[key] for key in get_close_matches(wanted.casefold().strip(), by_folded, n=3, cutoff=0.6)]
    advice = f"did you mean {listed(near)}?" if near else f"the columns are {listed(names)}."
    return Unreadable("unknown_column", f"{told_by} names the column {shown(wanted)}, which the file does not have; {advice}")
