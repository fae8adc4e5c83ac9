"""What runs come to, as tables of Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from benchmarks.quality.ours import Outcome

OURS = "ours"
WANTED = {"HistGB balanced": 0.03, "balanced RF": 0.05}
"""By how much the default recipe is to be better, in mean average precision."""
WANTED_RAW = 0.02
"""So far may the log-loss of raw probabilities be above that of Platt-scaled ones."""


@dataclass(frozen=True)
class Run:
    """One training on one split of a table."""

    table: str
    split: int
    arm: str
    outcome: Outcome


def report(runs: Sequence[Run]) -> str:
    """Return the average precision of each arm on each table, the means and ranks, and what of it was wanted."""
    arms, tables = (list(dict.fromkeys(found)) for found in ([run.arm for run in runs], [run.table for run in runs]))
    lines = ["", "| table (mean over splits) | " + " | ".join(arms) + " |", "|---|" + "---|" * len(arms)]
    means = {arm: [_mean(runs, table, arm) for table in tables] for arm in arms}
    for index, table in enumerate(tables):
        values = [means[arm][index] for arm in arms]
        lines.append(f"| {table} | " + " | ".join(_marked(value, max(values)) for value in values) + " |")
    overall = {arm: mean(means[arm]) for arm in arms}
    lines.append("| **mean** | " + " | ".join(f"{overall[arm]:.4f}" for arm in arms) + " |")
    ranks = _ranks(runs, arms)
    lines.append("| mean rank | " + " | ".join(f"{ranks[arm]:.2f}" for arm in arms) + " |")
    seconds = [median(run.outcome.seconds for run in runs if run.arm == arm) for arm in arms]
    lines.append("| seconds, median | " + " | ".join(f"{value:.1f}" for value in seconds) + " |")
    return "\n".join([*lines, "", *_verdicts(runs, overall), *_calibration(runs, tables)])


def _mean(runs: Sequence[Run], table: str, arm: str) -> float:
    return mean(run.outcome.average_precision for run in runs if (run.table, run.arm) == (table, arm))


def _marked(value: float, best: float) -> str:
    return f"**{value:.4f}**" if value == best else f"{value:.4f}"


def _ranks(runs: Sequence[Run], arms: Sequence[str]) -> dict[str, float]:
    """Return each arm's mean rank among all on a table and split, 1 for the best; equal ones share theirs."""
    found: dict[str, list[float]] = {arm: [] for arm in arms}
    for table, split in dict.fromkeys((run.table, run.split) for run in runs):
        values = {run.arm: run.outcome.average_precision for run in runs if (run.table, run.split) == (table, split)}
        for arm, value in values.items():
            better, equal = (sum(other > value for other in values.values()), sum(other == value for other in values.values()))
            found[arm].append(better + (equal + 1) / 2)
    return {arm: mean(ranks) for arm, ranks in found.items()}


def _verdicts(runs: Sequence[Run], overall: dict[str, float]) -> list[str]:
    lines = []
    for arm in overall:
        if arm == OURS or OURS not in overall:
            continue
        pairs = [
            (run.outcome.average_precision, other.outcome.average_precision)
            for run in runs
            for other in runs
            if run.arm == OURS and (other.arm, other.table, other.split) == (arm, run.table, run.split)
        ]
        won, lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        ahead = overall[OURS] - overall[arm]
        wanted = f", wanted {WANTED[arm]:+.2f}: {'holds' if ahead >= WANTED[arm] else 'FALLS SHORT'}" if arm in WANTED else ""
        lines.append(f"- beside {arm}: {ahead:+.4f}, {won} splits won, {lost} lost{wanted}")
    return lines


def _calibration(runs: Sequence[Run], tables: Sequence[str]) -> list[str]:
    """Return how far raw probabilities are from Platt-scaled ones, on the splits where these could be fitted."""
    lines, all_raw, all_platt = [], [], []
    for table in tables:
        mine = [run.outcome for run in runs if (run.arm, run.table) == (OURS, table)]
        pairs = [(one.raw, one.platt) for one in mine if one.raw is not None and one.platt is not None]
        if pairs:
            raw, platt = (mean(values) for values in zip(*pairs, strict=True))
            all_raw.append(raw)
            all_platt.append(platt)
            chosen = ", ".join(sorted({one.learner for one in mine}))
            lines.append(f"- {table}: raw log-loss {raw:.4f}, Platt-scaled {platt:.4f} ({raw / platt - 1:+.1%}); {chosen}")
    if all_raw:
        above = mean(all_raw) / mean(all_platt) - 1
        verdict = "holds" if above <= WANTED_RAW else "FALLS SHORT"
        lines.append(f"- raw log-loss above Platt-scaled, over all tables: {above:+.1%}, wanted at most {WANTED_RAW:+.0%}: {verdict}")
    return lines
