"""The rows of a finished job counted by their probability: enough to say what any threshold does, without its rows."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from counterweight.contracts.evaluation import Confusion, OperatingPoint, OperatingSplit, ThresholdPolicy
from counterweight.statistics.decisions import measured
from counterweight.statistics.scores import ScoreCounts
from counterweight.statistics.spread import choose_with_spread

JudgedPart = Literal["validation", "test"]
CountedPart = Literal["validation", "test", "apart"]
PARTS: tuple[JudgedPart, JudgedPart] = ("validation", "test")
COUNTED: tuple[CountedPart, CountedPart, CountedPart] = ("validation", "test", "apart")
"""`apart` are the validation rows by the probabilities that thresholds are chosen on, where these are not their own."""

_LAYOUT = np.dtype([("part", "u1"), ("score", "<f8"), ("positives", "<i8"), ("negatives", "<i8")])


def packed(counts: Mapping[CountedPart, ScoreCounts]) -> bytes:
    """Return the file of the parts' counts: one array, without pickle."""
    tables = []
    for part, rows in counts.items():
        table = np.empty(len(rows.scores), dtype=_LAYOUT)
        table["part"] = COUNTED.index(part)
        table["score"], table["positives"], table["negatives"] = rows.scores, rows.positives, rows.negatives
        tables.append(table)
    content = io.BytesIO()
    np.save(content, np.concatenate(tables), allow_pickle=False)
    return content.getvalue()


def unpacked(path: Path) -> dict[CountedPart, ScoreCounts]:
    """Return what `packed` wrote, or what it wrote when there were two parts and a column said of each row whether it is a test row."""
    table = np.load(path, allow_pickle=False)
    part_of_row = table["part" if "part" in table.dtype.names else "is_test"].astype(np.int64)
    found: dict[CountedPart, ScoreCounts] = {}
    for index, part in enumerate(COUNTED):
        rows = table[part_of_row == index]
        if part in PARTS or len(rows):
            found[part] = ScoreCounts(rows["score"], rows["positives"], rows["negatives"])
    return found


def operating_point(
    counts: Mapping[CountedPart, ScoreCounts], policy: ThresholdPolicy, labels: tuple[str, str], positive: int, confidence: float
) -> OperatingPoint:
    """Return the threshold that the policy chooses on the validation rows, and what it does on both parts."""
    choice = choose_with_spread(counts.get("apart", counts["validation"]), policy, confidence)
    choice = choice.model_copy(update={"cross_fitted": "apart" in counts})
    found: dict[JudgedPart, OperatingSplit] = {}
    if choice.value is not None:
        for part in PARTS:
            cells = counts[part].cells_at(choice.value)
            in_order = cells if positive == 1 else cells[::-1, ::-1]
            found[part] = OperatingSplit(
                rows=int(cells.sum()),
                confusion=Confusion(labels=list(labels), counts=in_order.tolist()),
                metrics=measured(in_order, positive, confidence),
            )
    return OperatingPoint(threshold=choice, positive_label=labels[positive], splits=found)
