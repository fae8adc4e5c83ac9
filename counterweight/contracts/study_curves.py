"""How the arms of a study trained: each metric over the epochs, averaged over an arm's runs, with their span."""

from typing import Literal

from counterweight.contracts.base import View


class ArmSeries(View):
    """One metric of an arm's runs: at each epoch their mean, the lowest and the highest of them, and how many runs went so far.

    A `reduced` series is cut into stretches of epochs: `epoch` is then a stretch's last, and the figures are of all its epochs.
    """

    name: str
    columns: tuple[Literal["epoch"], Literal["mean"], Literal["low"], Literal["high"], Literal["runs"]] = (
        "epoch",
        "mean",
        "low",
        "high",
        "runs",
    )
    points: list[tuple[int, float, float, float, int]]
    reduced: bool


class ArmCurves(View):
    """What the runs of one arm recorded while they trained."""

    arm: str
    series: list[ArmSeries]


class StudyCurves(View):
    """The curves of a study, arm by arm in the order in which they were asked for."""

    arms: list[ArmCurves]
