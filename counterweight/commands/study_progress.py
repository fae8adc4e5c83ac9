"""Waiting for a study: its arms' means so far in a live table on a terminal, a line for each job that ends in a pipe."""

from typing import TYPE_CHECKING

from counterweight.commands.following import LIVE_EVERY_S, detachable
from counterweight.commands.output import console
from counterweight.commands.wording import figure
from counterweight.logs import escape

if TYPE_CHECKING:
    from rich.console import Console, Group

    from counterweight.client import Client
    from counterweight.contracts.studies import LeaderboardRow, StudySummary, StudyView

MOST_ROWS = 20
"""So many arms are shown while a study runs: a live table must fit on the screen."""

PIPED_EVERY_S = 30.0
SHOWN_STATES = ("running", "pausing", "paused", "cancelling", "queued", "succeeded", "failed", "cancelled")


def follow(client: "Client", study_id: str, timeout_s: float | None, is_quiet: bool) -> "StudyView":
    """Return the study once it is over, telling on standard error how far it has come."""
    with detachable(study_id, "studies wait"):
        return client.studies.wait(study_id, timeout_s) if is_quiet else watched(client, study_id, timeout_s, console(is_error=True))


def watched(client: "Client", study_id: str, timeout_s: float | None, screen: "Console") -> "StudyView":
    """Return the study once it is over; until then show on the screen how far it has come."""
    if not screen.is_terminal:
        told = ""
        for study in client.studies.watch(study_id, timeout_s, PIPED_EVERY_S):
            if (line := progress_line(study)) != told:
                screen.print(escape(line), soft_wrap=True)
                told = line
        return study
    # Rich takes 0.1 s to import, which `--help` and `--quiet` should not wait for.
    from rich.live import Live  # noqa: PLC0415

    with Live(console=screen, auto_refresh=False, transient=True) as live:
        for study in client.studies.watch(study_id, timeout_s, LIVE_EVERY_S):
            live.update(_drawn(study, _fraction(client, study)), refresh=True)
    return study


def progress_line(study: "StudyView") -> str:
    """Tell in one line where a study stands: `training, 9 jobs: 7 queued, 2 succeeded; focal leads with 0.8123 (1 run)`."""
    line = f"{stage(study)}, {standing(study)}"
    leader = study.leaderboard[0]
    runs = "1 run" if leader.runs == 1 else f"{leader.runs} runs"
    return line if leader.mean is None else f"{line}; {leader.arm} leads with {figure(leader.mean)} ({runs})"


def stage(study: "StudySummary") -> str:
    """Tell how a study ended, that it is paused, or what it is at."""
    return study.phase if study.state == "running" else study.state


def standing(study: "StudySummary") -> str:
    """Tell how many jobs there are, and in which states."""
    counts = {state: study.counts[state] for state in SHOWN_STATES if state in study.counts}
    return f"{study.jobs} jobs: " + ", ".join(f"{count} {state}" for state, count in counts.items())


def _fraction(client: "Client", study: "StudyView") -> float:
    """Return how much of the training is done; early stopping may end a job before its last epoch."""
    ended = study.jobs - sum(study.counts.get(state, 0) for state in ("queued", "running", "pausing", "paused", "cancelling"))
    running = client.jobs.list(filter=f"study_id = {study.id} AND state = running", limit=200) if "running" in study.counts else ()
    return (ended + sum(job.progress.fraction for job in running if job.progress is not None)) / study.jobs


def _drawn(study: "StudyView", fraction: float) -> "Group":
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for name in ("arm", "runs", "mean so far", ""):
        table.add_column(name, justify="left" if name in ("arm", "") else "right", no_wrap=True)
    best = study.leaderboard[0].mean
    for row in study.leaderboard[:MOST_ROWS]:
        table.add_row(Text(escape(row.arm)), f"{row.runs}/{len(row.job_ids)}", *_mean(row, best))
    hidden = len(study.leaderboard) - MOST_ROWS
    more = [Text(f"and {hidden} more arms", style="dim")] if hidden > 0 else []
    line = Text(f"{study.phase}, {standing(study)}")
    return Group(line, ProgressBar(total=1.0, completed=fraction, width=60), "", table, *more)


def _mean(row: "LeaderboardRow", best: float | None) -> tuple[str, str]:
    if row.mean is None or best is None:
        return "", ""
    return figure(row.mean), "leads" if row.rank == 1 else f"{figure(row.mean - best, is_signed=True)}"
