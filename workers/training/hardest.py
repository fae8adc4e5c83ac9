"""The rows a model was most wrong about."""

from collections.abc import Mapping

import numpy as np

from counterweight.contracts.evaluation import HardestRow
from counterweight.statistics.operating import JudgedPart
from workers.training.metrics import log_losses
from workers.training.subject import Judged

HARDEST = 20


def hardest_rows(classes: tuple[str, ...], judged: Mapping[JudgedPart, Judged]) -> list[HardestRow]:
    """Return the rows of the greatest loss, the worst first; of equals those of the lower number."""
    found = [row for part, rows in judged.items() for row in _of_part(classes, part, rows)]
    return sorted(found, key=lambda row: (-row.loss, row.part, row.row))[:HARDEST]


def _of_part(classes: tuple[str, ...], part: JudgedPart, judged: Judged) -> list[HardestRow]:
    losses = log_losses(judged.log_p, judged.labels)
    return [
        HardestRow(
            row=int(judged.scored.rows[index]),
            part=part,
            label=classes[judged.labels[index]],
            predicted=classes[judged.decisions[index]],
            probability=float(np.exp(-losses[index])),
            loss=float(losses[index]),
        )
        for index in np.lexsort((judged.scored.rows, -losses))[:HARDEST]
    ]
