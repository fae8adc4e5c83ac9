"""How a job ended, as an exit code; and gates, which let only a good enough model pass."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from counterweight.commands.codes import CANCELLED, FAILED, GATE_FAILED, SUCCEEDED
from counterweight.logs import escape

if TYPE_CHECKING:
    from counterweight.contracts.jobs import JobView

ENDS = {"failed": FAILED, "cancelled": CANCELLED}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_GATE = re.compile(
    r"\s*(?P<metric>[^<>=\s][^<>=]*?)\s*(?P<comparison><=|>=|<|>)\s*(?P<bound>[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Gate:
    """What a finished job must not be: `test/average_precision<0.6`."""

    metric: str
    comparison: str
    bound: float

    def fault(self, job: "JobView") -> str | None:
        """Say why the job does not pass; None when it does. What is not known to be good enough does not pass."""
        found = job.metrics.get(self.metric)
        if found is None:
            return f"the job has no metric {self.metric!r}; it has {', '.join(sorted(job.metrics)) or 'none'}"
        if found.value is None:
            return f"{self.metric} is undefined: {found.reason}"
        if _COMPARISONS[self.comparison](found.value, self.bound):
            return f"{self.metric} is {found.value:.6g}, and {self.comparison} {self.bound:g} was not to be"
        return None


def read_gate(text: str) -> Gate:
    found = _GATE.fullmatch(text)
    try:
        assert found is not None
        return Gate(found["metric"], found["comparison"], float(found["bound"]))
    except (AssertionError, ValueError):
        raise typer.BadParameter(f"{text!r} is no comparison of a metric with a number, such as test/average_precision<0.6") from None


FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar="METRIC<NUMBER",
        help="Exit with 6 when the finished job is so, such as test/average_precision<0.6; can be given again.",
    ),
]


def read_gates(texts: Sequence[str] | None) -> list[Gate]:
    return [read_gate(text) for text in texts or ()]


def outcome(job: "JobView", gates: Sequence[Gate] = ()) -> int:
    """Return the exit code of a job that is over, saying on standard error which gates it does not pass."""
    if job.state in ENDS:
        return ENDS[job.state]
    faults = [fault for gate in gates if (fault := gate.fault(job)) is not None]
    for fault in faults:
        typer.echo(escape(f"Gate failed: {fault}"), err=True)
    return GATE_FAILED if faults else SUCCEEDED
