"""The column that tells how much a row counts in training."""

from counterweight.contracts.datasets import TableFacts
from service.domain.divisions import known_column
from service.domain.errors import Invalid

POINTER = "/weight_column"


def check_weight_column(name: str, facts: TableFacts) -> None:
    """Raise Invalid unless the column holds a number in every row; which of them are negative is known when they are read."""
    column = known_column(name, facts, POINTER)
    trouble = None
    if name == facts.target:
        trouble = "is the target; weights are another column"
    elif column.type != "numeric":
        trouble = f"is {column.type}, and weights are numbers of 0 or more"
    elif column.missing:
        trouble = f"holds no weight in {column.missing} rows; fill them in, with 0 for rows not to be learnt from"
    if trouble is not None:
        raise Invalid.at(POINTER, "unfit_weights", f"column {name!r} {trouble}")


def weight_notes(name: str | None) -> list[str]:
    """Say that the terms of a loss are estimated where rows have weights."""
    if name is None:
        return []
    return [
        f"an estimate, from rows: classes count by the weights in column {name!r}, which are read when the job runs; "
        "the job then shows the terms that it trains with"
    ]
