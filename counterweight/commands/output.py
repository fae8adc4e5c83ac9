"""Printing answers: tables for people, JSON for programs, ids for pipes."""

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from counterweight.logs import escape

if TYPE_CHECKING:
    from rich.console import Console

    from counterweight.contracts.deletions import Deletion

PIPED_WIDTH = 10_000
"""A pipe has no width: nothing is cut short there."""

Cells = Mapping[str, str]
"""What a table shows of one thing, by column."""


class Writable(Protocol):
    def model_dump_json(self, *, indent: int | None = None) -> str: ...


class Printable(Writable, Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=Printable)
Line = TypeVar("Line", bound=Writable)


def print_one(item: Item, style: Literal["table", "json", "jsonl"], is_quiet: bool, details: Callable[[Item], Cells]) -> None:
    """Print one thing: a line for each detail, or one JSON object."""
    if is_quiet:
        _line(item.id)
    else:
        print_details(item, style, details)


def print_details(item: Line, style: Literal["table", "json", "jsonl"], details: Callable[[Line], Cells]) -> None:
    """Print one thing that has no id."""
    if style == "table":
        shown = {name: value for name, value in details(item).items() if value}
        _print_table([["", ""], *([name, value] for name, value in shown.items())])
    else:
        print_json(item, style)


def print_json(item: Writable, style: Literal["json", "jsonl"]) -> None:
    """Print one JSON object: over several lines as `json`, on one as `jsonl`."""
    _line(item.model_dump_json(indent=2 if style == "json" else None))


def print_many(items: Iterable[Item], style: Literal["table", "json", "jsonl"], is_quiet: bool, row: Callable[[Item], Cells]) -> None:
    """Print a list: a table with a row for each, a JSON array, or a JSON object a line; `--quiet` prints ids."""
    if is_quiet:
        for item in items:
            _line(item.id)
    else:
        print_rows(items, style, row)


def print_text(text: str) -> None:
    """Print a sentence, on a terminal over as many lines as it needs; what users put into it cannot steer the terminal."""
    told = escape(text)
    width = shutil.get_terminal_size().columns
    # Names that are long in themselves, such as an id, are not cut.
    _line(textwrap.fill(told, width, break_long_words=False, break_on_hyphens=False) if sys.stdout.isatty() else told)


def print_rows(items: Iterable[Line], style: Literal["table", "json", "jsonl"], row: Callable[[Line], Cells]) -> None:
    """Print a list of things that have no id."""
    if style == "table":
        print_table([row(item) for item in items])
    else:
        _print_json(items, style)


def print_table(rows: Sequence[Cells]) -> None:
    """Print rows that all have the same columns; nothing at all without rows."""
    _print_table([list(rows[0]), *(list(cells.values()) for cells in rows)] if rows else [])


def print_lines(lines: Iterable[Line], style: Literal["table", "json", "jsonl"], text: Callable[[Line], str]) -> None:
    """Print each line as soon as it is there; a JSON array at the end."""
    if style == "table":
        for line in lines:
            _line(escape(text(line)))
    else:
        _print_json(lines, style)


def deletion_details(gone: "Deletion") -> Cells:
    return {
        "id": gone.id,
        "deleted": "yes" if gone.deleted else "no, this only says what would go",
        "files": f"{gone.files:,}",
        "bytes": f"{gone.bytes:,}",
        "kept": "; ".join(gone.kept),
    }


def console(*, is_error: bool = False) -> "Console":
    """Return a console on standard output or error: as wide as the terminal, without colour in a pipe or under NO_COLOR."""
    # Rich takes 0.1 s to import, which `--help` and `--quiet` should not wait for.
    from rich.console import Console  # noqa: PLC0415

    stream = sys.stderr if is_error else sys.stdout
    return Console(stderr=is_error, width=None if stream.isatty() else PIPED_WIDTH, highlight=False, markup=False)


def _print_json(items: Iterable[Writable], style: Literal["json", "jsonl"]) -> None:
    if style == "json":
        _line(f"[{','.join(item.model_dump_json() for item in items)}]")
        return
    for item in items:
        _line(item.model_dump_json())


def _print_table(lines: list[list[str]]) -> None:
    """Print lines of cells, the first of which is the header; none at all without lines."""
    if not lines:
        return
    from rich.table import Table  # noqa: PLC0415  # See `console`.
    from rich.text import Text  # noqa: PLC0415

    header, *rows = lines
    table = Table(box=None, pad_edge=False, show_header=any(header), header_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape(cell)) for cell in row))
    screen = console()
    if screen.is_terminal:
        screen.print(table)
        return
    with screen.capture() as printed:
        screen.print(table)
    # Rich fills each line up to the width of the widest.
    for line in printed.get().splitlines():
        _line(line.rstrip())


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
