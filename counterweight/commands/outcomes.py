"""How a job or a study ended, as an exit code; and gates, which let only a good enough one pass."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from counterweight.commands.codes import CANCELLED, FAILED, GATE_FAILED, SUCCEEDED
from counterweight.logs import escape
from counterweight.reasons import reason

if TYPE_CHECKING:
    from counterweight.contracts.evaluation import Metric
    from counterweight.contracts.jobs import JobView, ResolvedSpec
    from counterweight.contracts.studies import StudyView

ENDS = {"failed": FAILED, "cancelled": CANCELLED}
UNDECIDED = "undecided"
PARTS = ("test", "validation")
"""Parts of the rows that a job's metrics are of."""

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
    """What a metric must not be in the end: `test/average_precision<0.6`."""

    metric: str
    comparison: str
    bound: float

    def fault(self, metrics: Mapping[str, "Metric"]) -> str | None:
        """Say why it does not pass; None when it does. What is not known to be good enough does not pass."""
        found = metrics.get(self.metric)
        if found is None:
            return f"there is no metric {self.metric!r}; it has {', '.join(sorted(metrics)) or 'none'}"
        if found.value is None:
            return f"{self.metric} is undefined: {reason(found.reason)}"
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
FailStudyIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        metavar=f"METRIC<NUMBER|{UNDECIDED}",
        help=f"Exit with 6 when the best arm's mean is so, such as test/average_precision<0.6, or with `{UNDECIDED}` when the data cannot "
        "decide; can be given again.",
    ),
]


def read_gates(texts: Sequence[str] | None) -> list[Gate]:
    return [read_gate(text) for text in texts or ()]


@dataclass(frozen=True)
class StudyGates:
    """What a finished study must not be."""

    must_decide: bool
    gates: list[Gate]

    def __bool__(self) -> bool:
        return self.must_decide or bool(self.gates)


def read_study_gates(texts: Sequence[str] | None) -> StudyGates:
    return StudyGates(UNDECIDED in (texts or ()), read_gates([text for text in texts or () if text != UNDECIDED]))


def check_job_gates(gates: Sequence[Gate], spec: "ResolvedSpec") -> None:
    """Refuse a gate on what such a job will not have, which would else be found out when it has been trained."""
    # What is loaded by now: a spec has been read.
    from counterweight.contracts.studies import metrics_of  # noqa: PLC0415

    names = metrics_of(has_several_classes=spec.evaluation.positive_label is None)
    _check_metrics(gates, [f"{part}/{name}" for part in PARTS for name in names])


def check_study_gates(gates: StudyGates, metric: str) -> None:
    """Refuse a gate on what a study by this metric will not have, which would else be found out when all has been trained."""
    _check_metrics(gates.gates, _study_metrics(metric))


def _check_metrics(gates: Sequence[Gate], known: Sequence[str]) -> None:
    for gate in gates:
        if gate.metric not in known:
            raise typer.BadParameter(f"there will be no metric {gate.metric!r}; choose from {', '.join(known)}", param_hint="--fail-if")


def _study_metrics(metric: str) -> list[str]:
    """Name what is known of each arm."""
    return [f"test/{name}" for name in dict.fromkeys((metric, "ece"))]


def check_wait(what: str, gates: "Sequence[Gate] | StudyGates", wait: bool, dry_run: bool) -> None:
    """Refuse options that would go unheeded: a gate on what is not waited for, a wait for what is not made."""
    if gates and not wait:
        raise typer.BadParameter(f"--fail-if judges a finished {what}: it needs --wait")
    if wait and dry_run:
        raise typer.BadParameter(f"--dry-run makes no {what} to wait for: leave --wait out")


def outcome(job: "JobView", gates: Sequence[Gate] = ()) -> int:
    """Return the exit code of a job that is over, saying on standard error which gates it does not pass."""
    return _code(job.state, _faults(gates, job.metrics))


def study_outcome(study: "StudyView", gates: StudyGates) -> int:
    """Return the exit code of a study that is over, saying on standard error which gates it does not pass."""
    # What is loaded by now: a study has been read.
    from counterweight.contracts.evaluation import Metric  # noqa: PLC0415

    best = study.leaderboard[0]
    undecided = [study.verdict.sentence] if gates.must_decide and study.verdict is not None and not study.verdict.decided else []
    metrics = {f"test/{study.metric}": Metric(value=best.mean, reason=best.reason), "test/ece": Metric(value=best.ece)}
    return _code(study.state, undecided + _faults(gates.gates, metrics))


def _faults(gates: Sequence[Gate], metrics: Mapping[str, "Metric"]) -> list[str]:
    return [fault for gate in gates if (fault := gate.fault(metrics)) is not None]


def _code(state: str, faults: Sequence[str]) -> int:
    if state in ENDS:
        return ENDS[state]
    for fault in faults:
        typer.echo(escape(f"Gate failed: {fault}"), err=True)
    return GATE_FAILED if faults else SUCCEEDED
