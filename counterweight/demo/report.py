"""What the demo found: the numbers, the table, and what they do and do not say."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

from rich import box
from rich.table import Table

from counterweight.contracts.evaluation import Evaluation, Metric

RARE = "8"


@dataclass(frozen=True)
class Run:
    """One finished job and its test metrics, as shown."""

    job_id: str
    loss: str
    seed: int
    average_precision: float
    low: float
    high: float
    recall: float
    log_loss: float
    threshold: float


@dataclass(frozen=True)
class Row:
    """One line of the table: a loss over its seeds."""

    loss: str
    average_precision: float
    low: float
    high: float
    recall: float
    log_loss: float
    thresholds: list[float]


@dataclass(frozen=True)
class HeldOut:
    """The test rows, on which all runs were judged."""

    rows: int
    rare: int


def run_of(job_id: str, loss: str, seed: int, evaluation: Evaluation) -> Run:
    metrics = evaluation.splits["test"].metrics
    precision = metrics["average_precision"]
    return Run(
        job_id=job_id,
        loss=loss,
        seed=seed,
        average_precision=_known(precision),
        low=_known(Metric(value=precision.low, reason=precision.reason)),
        high=_known(Metric(value=precision.high, reason=precision.reason)),
        recall=_known(metrics["recall"]),
        log_loss=_known(metrics["log_loss"]),
        threshold=_known(Metric(value=evaluation.threshold.value, reason=evaluation.threshold.reason)),
    )


def held_out_of(evaluation: Evaluation) -> HeldOut:
    part = evaluation.splits["test"]
    return HeldOut(part.rows, next(share.count for share in part.classes if share.label == RARE))


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Average over the seeds of each loss; the interval is the span of its runs' intervals."""
    return [_row(loss, list(own)) for loss, own in groupby(runs, key=lambda run: run.loss)]


def table_of(rows: Sequence[Row]) -> Table:
    table = Table(title="Test part: how well is the rare 8 found?", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("loss", no_wrap=True)
    for name in ("mean AP", "interval", "recall", "log-loss", "threshold"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.loss,
            f"{row.average_precision:.3f}",
            f"{row.low:.2f} to {row.high:.2f}",
            f"{row.recall:.2f}",
            f"{row.log_loss:.3f}",
            ", ".join(f"{threshold:.2f}" for threshold in row.thresholds),
        )
    return table


def words_of(rows: Sequence[Row], held_out: HeldOut, seeds: int) -> list[str]:
    """Say what the numbers mean, and what they cannot tell."""
    return [
        f"AP is average precision: 1 is perfect, {held_out.rare / held_out.rows:.3f} is guessing. Means are over {seeds} training seeds on "
        f"one split; the test part has {held_out.rows} rows, {held_out.rare} of them an 8.",
        "The interval runs from the lowest to the highest end of the seeds' 95% bootstrap intervals over the test rows. It covers which "
        "rows fell into the test part by chance, and these seeds; not another split, nor other data.",
        "Recall is the share of the eights found at the threshold with the highest F1 on the validation rows.",
        _verdict(rows, held_out),
    ]


def _verdict(rows: Sequence[Row], held_out: HeldOut) -> str:
    best = max(rows, key=lambda row: row.average_precision)
    rivals = [row.loss for row in rows if row is not best and row.high >= best.low]
    if rivals:
        return (
            f"Verdict: undecided. {best.loss} has the highest mean ({best.average_precision:.3f}), but its interval overlaps that of "
            f"{' and of '.join(rivals)}: {held_out.rare} eights are too few to tell them apart. More seeds would not change that; "
            "more eights to test on would."
        )
    return (
        f"Verdict: on this split {best.loss} ranks the eights best ({best.average_precision:.3f}): its interval lies above all others. "
        "Two seeds and one split do not make that a law; try it on your data."
    )


def _row(loss: str, runs: Sequence[Run]) -> Row:
    return Row(
        loss=loss,
        average_precision=fmean(run.average_precision for run in runs),
        low=min(run.low for run in runs),
        high=max(run.high for run in runs),
        recall=fmean(run.recall for run in runs),
        log_loss=fmean(run.log_loss for run in runs),
        thresholds=[run.threshold for run in runs],
    )


def _known(metric: Metric) -> float:
    """The demo's data defines every metric shown; NaN would show that it no longer does."""
    return float("nan") if metric.value is None else metric.value
