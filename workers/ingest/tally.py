"""Many records of a text table counted at once, wherever nothing about them is in doubt."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 4 << 20

_LINE_FEED, _QUOTE = ord("\n"), ord('"')
_Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Tally:
    """The whole records at the start of a block: the bytes and lines they take, and how many they are, blank lines aside."""

    bytes: int
    lines: int
    rows: int


def tally(block: bytes, delimiter: str, width: int) -> Tally | None:
    """Count the records of a block that begins with one; None unless each is blank or has `width` fields and no odd quote.

    None is no verdict: the block is then for the slow reader to judge.
    """
    if len(delimiter.encode()) != 1 or b"\r" in block:
        return None
    octets = np.frombuffer(block, np.uint8)
    all_marks = np.flatnonzero((octets == ord(delimiter)) | (octets == _LINE_FEED))
    marks = _outside_quotes(octets, all_marks, ord(delimiter)) if b'"' in block else all_marks
    if marks is None:
        return None
    line_ends = np.flatnonzero(octets[marks] == _LINE_FEED)
    if not line_ends.size:
        return None
    fields = np.diff(line_ends, prepend=-1)
    is_blank = np.diff(marks[line_ends], prepend=-1) == 1
    if not np.all((fields == width) | is_blank):
        return None
    used = int(marks[line_ends[-1]]) + 1
    return Tally(used, block.count(b"\n", 0, used), line_ends.size - int(is_blank.sum()))


def _outside_quotes(octets: npt.NDArray[np.uint8], marks: _Positions, delimiter: int) -> _Positions | None:
    """Return the marks that part cells; None when a quote stands where a plain reading would not have it.

    Every other quote opens. It must follow a mark, or the quote that closed just before: the two are then one quote in the cell.
    """
    quotes = np.flatnonzero(octets == _QUOTE)
    opening, closing = quotes[::2], quotes[1::2]
    neighbours = np.zeros(256, bool)
    neighbours[[delimiter, _LINE_FEED, _QUOTE]] = True
    before, after = opening[opening > 0] - 1, closing[closing + 1 < octets.size] + 1
    if not (neighbours[octets[before]].all() and neighbours[octets[after]].all()):
        return None
    if opening.size > closing.size:  # the last cell ends beyond the block
        marks = marks[: np.searchsorted(marks, opening[-1])]
        opening = opening[:-1]
    first, behind = np.searchsorted(marks, opening), np.searchsorted(marks, closing)
    holds_marks = behind > first
    if not holds_marks.any():
        return marks
    depth = np.zeros(marks.size + 1, np.int8)
    np.add.at(depth, first[holds_marks], 1)
    np.add.at(depth, behind[holds_marks], -1)
    outside: _Positions = marks[np.cumsum(depth[:-1], dtype=np.int8) == 0]
    return outside
