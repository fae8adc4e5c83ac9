"""The rows of a finished job counted by their probability: enough to say what any threshold does, without its rows."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from counterweight.contracts.evaluation import Confusion, OperatingPoint, OperatingSplit, ThresholdPolicy
from counterweight.statistics.decisions import measured
from counterweight.statistics.scores import ScoreCounts
from counterweight.statistics.spread import choose_with_spread

JudgedPart = Literal["validation", "test"]
PARTS: tuple[JudgedPart, JudgedPart] = ("validation", "test")
_LAYOUT = np.dtype([("is_test", "?"), ("score", "<f8"), ("positives", "<i8"), ("negatives", "<i8")])


def packed(counts: Mapping[JudgedPart, ScoreCounts]) -> bytes:
    """Return the file of both parts' counts: one array, without pickle."""
    tables = []
    for part in PARTS:
        table = np.empty(len(counts[part].scores), dtype=_LAYOUT)
        table["is_test"] = part == "test"
        table["score"], table["positives"], table["negatives"] = counts[part].scores, counts[part].positives, counts[part].negatives
        tables.append(table)
    content = io.BytesIO()
    np.save(content, np.concatenate(tables), allow_pickle=False)
    return content.getvalue()


def unpacked(path: Path) -> dict[JudgedPart, ScoreCounts]:
    """Return what `packed` wrote."""
    table = np.load(path, allow_pickle=False)
    parts: dict[JudgedPart, Any] = {"validation": table[~table["is_test"]], "test": table[table["is_test"]]}
    return {part: ScoreCounts(rows["score"], rows["positives"], rows["negatives"]) for part, rows in parts.items()}


def operating_point(
    counts: Mapping[JudgedPart, ScoreCounts], policy: ThresholdPolicy, labels: tuple[str, str], positive: int, confidence: float
) -> OperatingPoint:
    """Return the threshold that the policy chooses on the validation rows, and what it does on both parts."""
    choice = choose_with_spread(counts["validation"], policy, confidence)
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
