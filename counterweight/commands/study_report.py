"""A study as people read it: the leaderboard, the paired differences, and the verdict."""

from typing import TYPE_CHECKING, Literal

from counterweight.commands.output import Cells, print_json, print_one, print_table, print_text
from counterweight.commands.study_progress import stage, standing
from counterweight.commands.wording import figure, interval, p_value
from counterweight.reasons import reason

if TYPE_CHECKING:
    from counterweight.contracts.studies import Comparison, LeaderboardRow, StudyView


def print_study(study: "StudyView", style: Literal["table", "json", "jsonl"], is_quiet: bool) -> None:
    """Print a study: for people, as one JSON object, or its id."""
    if is_quiet:
        print_one(study, style, is_quiet, lambda _: {})
    elif style != "table":
        print_json(study, style)
    else:
        print_report(study)


def print_report(study: "StudyView") -> None:
    better = "higher" if study.goal == "max" else "lower"
    print_text(f"{study.name} ({study.id}): {stage(study)}, {standing(study)}")
    print_text(f"{study.metric} on the {study.split} rows; {better} is better")
    print_text("")
    print_table([_row(row) for row in study.leaderboard])
    shown = [comparison for comparison in study.comparisons if study.leaderboard[0].arm in (comparison.a, comparison.b)]
    if shown:
        print_text("")
        print_text("Differences on the same rows and seeds")
        print_text("")
        print_table([_pair(comparison) for comparison in shown])
    if hidden := len(study.comparisons) - len(shown):
        print_text(f"and {hidden} between the others: -o json")
    error = [] if study.error is None else [f"{study.error.title}: {study.error.detail}"]
    verdict = [] if study.verdict is None else [f"Verdict: {study.verdict.sentence}"]
    for sentence in [*(f"Note: {note}" for note in study.notes), *error, *verdict]:
        print_text("")
        print_text(sentence)


def _row(row: "LeaderboardRow") -> Cells:
    return {
        "arm": row.arm,
        "rank": "" if row.rank is None else str(row.rank),
        "mean": "" if row.mean is None else figure(row.mean),
        "95% interval": interval(row.low, row.high, row.reason),
        "sd": "" if row.sd is None else figure(row.sd),
        "runs": f"{row.runs}/{len(row.job_ids)}",
        "recall of the rarest": "" if row.minority_recall is None else figure(row.minority_recall),
        "ECE": "" if row.ece is None else figure(row.ece),
    }


def _pair(pair: "Comparison") -> Cells:
    return {
        "pair": f"{pair.a} over {pair.b}",
        "difference": "" if pair.difference is None else figure(pair.difference, is_signed=True),
        "95% interval": interval(pair.low, pair.high, pair.reason, is_signed=True),
        "p, Holm": reason(pair.reason) if pair.p_adjusted is None else p_value(pair.p_adjusted),
        "wins": f"{pair.wins} of {pair.runs}",
    }
