"""What a benchmark found, beside a peer measured in the same run or beside a limit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table. `ratio` tells how many times better than `other` ours is; None where the peer is absent."""

    what: str
    ours: str
    other: str
    ratio: float | None
    wanted: float = 1.0

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return "not measured"
        return "holds" if self.ratio >= self.wanted else "FALLS SHORT"


def at_most(what: str, value: float, limit: float, unit: str) -> Figure:
    return Figure(what, f"{value:.3g} {unit}", f"limit {limit:g} {unit}", limit / value if value > 0 else float("inf"))


def table(figures: list[Figure]) -> str:
    """Return the figures as a table of Markdown."""
    rows = [("what", "ours", "peer or limit", "ratio", "wanted", "")]
    for figure in figures:
        ratio = "–" if figure.ratio is None else f"{figure.ratio:.2f}"
        rows.append((figure.what, figure.ours, figure.other, ratio, f"{figure.wanted:g}", figure.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
