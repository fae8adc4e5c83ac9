"""Losses: what there is to choose from."""

from collections.abc import Sequence
from typing import Any

from counterweight._resources.asking import document
from counterweight._transport import Transport
from counterweight.contracts.loss_catalogue import LossCard
from counterweight.contracts.loss_curves import LossCurve
from counterweight.contracts.loss_resolution import LossAnswer, LossQuestion
from counterweight.contracts.pages import Page


class Losses:
    """What there is to choose from."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[LossCard]:
        """Return the losses there are: formula, parameters, when to use each and when not."""
        return self._transport.get("/losses", Page[LossCard]).data

    def resolve(self, question: LossQuestion | str | None = None, **fields: Any) -> LossAnswer:
        """Tell what a loss comes to on a dataset, asked as a LossQuestion, as its JSON or as fields: `dataset_id=…, loss=Focal()`."""
        return self._transport.post("/losses/resolve", LossAnswer, document(question, LossQuestion, fields))

    def curve(self, kind: str, *, rows: int = 10_000, positive_rows: int = 1_000, points: int = 199, **parameters: Any) -> LossCurve:
        """Draw a loss of two classes against the probability of the true class; `parameters` are the loss's, such as `gamma=2`."""
        query = {"kind": kind, "rows": rows, "positive_rows": positive_rows, "points": points, **parameters}
        return self._transport.get("/losses/curve", LossCurve, query)
