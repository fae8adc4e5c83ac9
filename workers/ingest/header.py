"""Which line names the columns, and what the columns are called."""

from dataclasses import dataclass

from counterweight.contracts.datasets import DatasetOptions
from workers.ingest.dialect import Layout, usual_width
from workers.ingest.errors import Unreadable, listed, shown
from workers.ingest.numbers import is_number, is_numeric_word


@dataclass(frozen=True)
class Heading:
    """The names of the columns, and whether the first record held them."""

    has_header: bool
    names: list[str]
    notes: list[str]


def find_heading(layout: Layout, options: DatasetOptions) -> Heading:
    """Return the names of the columns, as many as the rows have fields; whatever was made up or doubtful is noted."""
    first, body = layout.sample[0], layout.sample[1:]
    notes: list[str] = []
    has_header = options.header
    if has_header is None:
        has_header = _is_header(first, body, layout.decimal, _names_told(options), notes)
    width = usual_width(body) if body else len(first)
    if not has_header:
        return Heading(False, [f"column_{position}" for position in range(usual_width(layout.sample))], notes)
    if len(first) > width:
        width = len(first)  # every row is then refused, by its line
    names = _aligned(first, body, width, notes)
    names = _filled(_without_leading_blanks(names, notes), notes)
    refuse_duplicates(names)
    return Heading(True, names, notes)


def refuse_duplicates(names: list[str]) -> None:
    """Refuse two columns of one name. Case does not tell names apart, because it does not in SQL."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names):
        earlier = seen.setdefault(name.lower(), position)
        if earlier != position:
            also = "" if name == names[earlier] else f" (the former is written {shown(names[earlier])}; capitals do not tell names apart)"
            raise Unreadable(
                "duplicate_column", f"Columns {earlier + 1} and {position + 1} are both named {shown(name)}{also}; rename one of them."
            )


def _names_told(options: DatasetOptions) -> set[str]:
    named = (options.target, options.group_column, options.time_column, options.weight_column)
    return {*options.columns, *options.exclude, *(name for name in named if isinstance(name, str))}


def _is_header(first: list[str], body: list[list[str]], decimal: str, told: set[str], notes: list[str]) -> bool:
    if told & set(first):
        return True
    cells = [cell.strip() for cell in first]
    if not body:
        return not any(is_number(cell, decimal) for cell in cells)
    width = usual_width(body)
    if len(first) < width and not any(is_number(cell, decimal) for cell in cells):
        return True
    rows = [record for record in body if len(record) == width]
    columns = list(zip(*rows, strict=True))[width - len(cells) :] if len(cells) <= width else []
    for_header = for_data = repeated = 0
    for cell, column in zip(cells, columns, strict=len(cells) == len(columns)):
        below = {value.strip() for value in column} - {""}
        if below and all(is_number(value, decimal) or is_numeric_word(value) for value in below):
            for_data += is_number(cell, decimal)
            for_header += bool(cell) and not is_number(cell, decimal)
        else:
            for_data += is_number(cell, decimal)
            repeated += bool(cell) and cell in below
    if for_header and for_data:
        taken = "names" if for_header > for_data else "data"
        notes.append(f"The first line holds both numbers and words and was read as {taken}; set options.header if that is wrong.")
        return for_header > for_data
    if for_header:
        return True
    if for_data:
        new_words = [cell for cell, column in zip(cells, columns, strict=False) if _is_new_word(cell, column, decimal)]
        if new_words:
            notes.append(
                f"The first line was read as data because it holds numbers, but {listed(new_words)} do not occur again; "
                "set options.header if it holds the names."
            )
        return False
    taken = "data, because its words occur again below" if repeated else "names"
    notes.append(
        f"No column is numeric, so the first line could be names or data; it was read as {taken}: set options.header if that is wrong."
    )
    return not repeated


def _is_new_word(cell: str, column: tuple[str, ...], decimal: str) -> bool:
    """Say whether a word stands above a column of other words, each of which may occur more than once."""
    below = {value.strip() for value in column}
    return bool(cell) and not is_number(cell, decimal) and cell not in below and len(below) * 2 <= len(column)


def _aligned(first: list[str], body: list[list[str]], width: int, notes: list[str]) -> list[str]:
    """Give a header with too few names as many as the rows have fields."""
    lacking = width - len(first)
    if lacking <= 0:
        return list(first)
    if lacking == 1 and all(not record[-1].strip() for record in body if len(record) == width):
        notes.append(f"Every row ends in a delimiter, so that an empty column follows {shown(first[-1])}; it is named column_{width - 1}.")
        return [*first, f"column_{width - 1}"]
    # R's write.table and pandas leave row names without a name: the names there belong to the last columns.
    made_up = [f"column_{position}" for position in range(lacking)]
    notes.append(
        f"The header has {len(first)} names but the rows have {width} fields: "
        f"the names were given to the last columns, and the first are {listed(made_up)}."
    )
    return [*made_up, *first]


def _without_leading_blanks(names: list[str], notes: list[str]) -> list[str]:
    if len(names) < 2 or not all(name.startswith(" ") for name in names[1:]):
        return names
    notes.append("The blank after each delimiter of the header was left out of the names.")
    return [names[0], *(name.lstrip(" ") for name in names[1:])]


def _filled(names: list[str], notes: list[str]) -> list[str]:
    empty = [position for position, name in enumerate(names) if not name.strip()]
    if empty:
        notes.append(f"Columns without a name were named by their position: {listed(f'column_{position}' for position in empty)}.")
    return [name if name.strip() else f"column_{position}" for position, name in enumerate(names)]
