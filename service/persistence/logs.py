"""The log of a job: what its trainer had to say, as much of it as there is room for, and what became of its attempts."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import LogLevel
from counterweight.contracts.messages import Log
from counterweight.logs import escape
from service.persistence import event_log
from service.persistence.tables import Attempt, Job, LogLine

LONGEST_LINE = 2_000
MOST_LINES, BURST_LINES, LINES_PER_S = 5_000, 200, 1
"""A trainer reads users' data and is not trusted with our disk: so many lines an attempt, at once, and a second are kept."""


def record(session: Session, job: Job, attempt: Attempt, said: Sequence[Log], now: datetime) -> None:
    """Keep what the trainer of a held job's present attempt said; count what there is no room for. A line told twice is kept once."""
    fresh = [line for line in said if line.number > attempt.log_heard]
    if not fresh:
        return
    allowed = min(MOST_LINES, BURST_LINES + int(LINES_PER_S * max(0.0, (now - attempt.started_at).total_seconds())))
    kept = fresh[: max(0, allowed - attempt.log_kept)]
    for line in kept:
        _add(session, job, attempt.number, line.level, line.message, datetime.fromtimestamp(line.time, UTC))
    attempt.log_heard = fresh[-1].number
    attempt.log_kept += len(kept)
    attempt.log_dropped += len(fresh) - len(kept)
    event_log.announce(session, job.id)


def say(session: Session, job: Job, level: LogLevel, message: str, now: datetime) -> None:
    """Add our own word about a job's latest attempt; there is always room for it."""
    attempt = session.scalar(select(func.max(Attempt.number)).where(Attempt.job_id == job.id)) or 0
    _add(session, job, attempt, level, message, now)
    event_log.announce(session, job.id)


def page(session: Session, job_id: str, after: int, limit: int) -> list[LogLine]:
    """Return up to `limit` lines, oldest first, of those after the line `after`."""
    return list(session.scalars(select(LogLine).where(LogLine.job_id == job_id, LogLine.id > after).order_by(LogLine.id).limit(limit)))


def tail(session: Session, job_id: str, limit: int) -> list[LogLine]:
    """Return the last lines, up to `limit`, oldest first."""
    newest = session.scalars(select(LogLine).where(LogLine.job_id == job_id).order_by(LogLine.id.desc()).limit(limit))
    return list(newest)[::-1]


def dropped(session: Session, job_id: str) -> int:
    """How many lines there was no room for."""
    return session.scalar(select(func.sum(Attempt.log_dropped)).where(Attempt.job_id == job_id)) or 0


def since(session: Session, last_id: int, limit: int = 1000) -> dict[int, str]:
    """Return the ids of lines said after the line `last_id`, of all jobs, with the job of each."""
    rows = session.execute(select(LogLine.id, LogLine.job_id).where(LogLine.id > last_id).order_by(LogLine.id).limit(limit))
    return {line_id: job_id for line_id, job_id in rows}


def last_id(session: Session) -> int:
    return session.scalar(select(func.max(LogLine.id))) or 0


def _add(session: Session, job: Job, attempt: int, level: LogLevel, message: str, time: datetime) -> None:
    text = escape(message[: LONGEST_LINE + 1])
    shown = text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…"
    session.add(LogLine(job_id=job.id, attempt=attempt, level=level, message=shown, time=time))
