"""How a text table is laid out: what parts the cells, and how decimals are written."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from counterweight.contracts.datasets import DatasetOptions
from workers.ingest.errors import Unreadable
from workers.ingest.numbers import is_number

COLUMN_LIMIT = 4096
SAMPLE_RECORDS = 1000
SAMPLE_CHARACTERS = 1 << 20

CANDIDATES = (",", ";", "\t", "|")
_SPOKEN = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blanks"}


@dataclass(frozen=True)
class Dialect:
    """What parts the cells of a row. `skips_blanks`: blanks after the delimiter belong to it."""

    delimiter: str
    skips_blanks: bool = False


@dataclass
class Layout:
    """A dialect, with the sample of records that it was found in."""

    dialect: Dialect
    decimal: str
    sample: list[list[str]]
    notes: list[str] = field(default_factory=list)


def find_layout(text: Path, options: DatasetOptions) -> Layout:
    """Return the layout of the table, from the options and the first lines; whatever could be read otherwise is noted."""
    lines = _sample_lines(text)
    notes: list[str] = []
    if options.delimiter is not None:
        delimiter = options.delimiter
        if delimiter in '"\r\n\0':
            raise Unreadable(
                "bad_delimiter", f"{delimiter!r} cannot part cells; use a comma, a semicolon, a tab or another plain character."
            )
    else:
        delimiter = _find_delimiter(lines, notes)
    dialect = Dialect(delimiter, skips_blanks=delimiter == " " or _has_blank_before_quote(lines, delimiter))
    sample = list(_records(lines, dialect))
    decimal = options.decimal or _find_decimal(sample, delimiter, notes)
    widest = max((len(record) for record in sample), default=0)
    if widest > COLUMN_LIMIT:
        raise Unreadable("too_many_columns", f"A row has {widest} fields; at most {COLUMN_LIMIT} columns can be read.")
    return Layout(dialect, decimal, sample, notes)


def usual_width(records: Iterable[list[str]]) -> int:
    """Return the most frequent number of fields; the larger on a tie, 0 without records."""
    widths = Counter(len(record) for record in records)
    return max(widths, key=lambda width: (widths[width], width), default=0)


def _sample_lines(text: Path) -> list[str]:
    lines: list[str] = []
    characters = 0
    with text.open(encoding="utf-8", newline="\n") as file:
        for line in islice(file, SAMPLE_RECORDS):
            lines.append(line)
            characters += len(line)
            if characters > SAMPLE_CHARACTERS and len(lines) > 2:
                break
    return lines


def _records(lines: list[str], dialect: Dialect) -> Iterator[list[str]]:
    """Yield the records of the sample that are whole; what breaks the dialect is for `structure` to refuse."""
    stripped = (line.strip(" ") for line in lines) if dialect.delimiter == " " else iter(lines)
    reader = csv.reader(stripped, delimiter=dialect.delimiter, skipinitialspace=dialect.skips_blanks, strict=True)
    try:
        for record in reader:
            if record and record != [""]:
                yield record
    except csv.Error:
        return


def _find_delimiter(lines: list[str], notes: list[str]) -> str:
    read = {mark: list(_records(lines, Dialect(mark, _has_blank_before_quote(lines, mark)))) for mark in CANDIDATES}
    steady = [mark for mark in CANDIDATES if _steadiness(read[mark]) == 1]
    if not steady:
        blanks = list(_records(lines, Dialect(" ", skips_blanks=True)))
        if _steadiness(blanks) == 1:
            notes.append("Cells are parted by runs of blanks.")
            return " "
        # Some row is broken, or the table has one column: the likeliest delimiter lets the refusal name the row.
        likely = max(CANDIDATES, key=lambda mark: _steadiness(read[mark]))
        return likely if _steadiness(read[likely]) > 0.5 else ","
    best = max(steady, key=lambda mark: _clean_share(read[mark], mark))
    rivals = [mark for mark in steady if mark != best and _clean_share(read[mark], mark) == _clean_share(read[best], best)]
    if rivals:
        others = " or ".join(_SPOKEN[mark] for mark in rivals)
        notes.append(f"Cells were parted by {_SPOKEN[best]}; {others} would fit as well: set options.delimiter if that is wrong.")
    return best


def _steadiness(records: list[list[str]]) -> float:
    """Return the share of rows below the first line that have the usual width, 0 when that is one field."""
    body = records[1:] or records
    width = usual_width(body)
    if width < 2:
        return 0
    return sum(len(record) == width for record in body) / len(body)


def _clean_share(records: list[list[str]], delimiter: str) -> float:
    """Return the share of cells that hold no other delimiter, decimal commas aside."""
    others = [mark for mark in CANDIDATES if mark != delimiter]
    cells = clean = 0
    for record in records[1:] or records:
        for cell in record:
            cells += 1
            clean += not any(mark in cell for mark in others) or is_number(cell.strip(), ",")
    return clean / max(cells, 1)


def _has_blank_before_quote(lines: list[str], delimiter: str) -> bool:
    """Say whether a quoted cell follows a delimiter and a blank, as in `1, "a, b"`."""
    return any(f'{delimiter} "' in line and f'{delimiter}"' not in line for line in lines)


def _find_decimal(sample: list[list[str]], delimiter: str, notes: list[str]) -> str:
    if delimiter == ",":
        return "."
    width = usual_width(sample)
    commas = points = 0
    thousands = True
    for column in zip(*(record for record in sample if len(record) == width), strict=True):
        cells = [cell.strip() for cell in column[1:] if cell.strip()]
        with_comma = [cell for cell in cells if "," in cell and is_number(cell, ",")]
        commas += bool(with_comma) and sum(is_number(cell, ",") for cell in cells) * 2 > len(cells)
        points += any("." in cell and is_number(cell) for cell in cells)
        thousands &= all(len(cell.rpartition(",")[2]) == 3 for cell in with_comma)
    if not commas:
        return "."
    if points:
        notes.append(
            f"{commas} columns write decimals with a comma and {points} with a point; "
            f"the {'comma' if commas > points else 'point'} was taken: set options.decimal if that is wrong."
        )
    elif thousands:
        notes.append(
            "Commas in numbers were read as decimal signs, though three digits follow each; set options.decimal if they part thousands."
        )
    return "," if commas > points else "."
