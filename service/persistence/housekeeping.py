"""Clearing away what nothing points to any more."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from counterweight.crashpoints import crashpoint
from service.persistence import checkpoints, mail
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Checkpoint, Dataset, Event, IdempotentAnswer, Job

logger = logging.getLogger(__name__)

ANSWERS_KEPT = timedelta(days=7)
"""A repeat after this makes something new; the contract promises a day."""

DELETIONS_KEPT = timedelta(days=30)
"""So long the event log tells that something was deleted. Everything else in it goes with what it tells of."""

ABANDONED = timedelta(days=1)
"""A file without a row is this old before it is taken for the rest of an interrupted upload, and not for one under way."""


def tidy(database: Database, files: Files, now: datetime) -> None:
    """Remove old answers, news of deletions, mail that nobody reads, and files that interrupted uploads and deletions left behind."""
    with database.write() as session:
        session.execute(delete(IdempotentAnswer).where(IdempotentAnswer.created_at < now - ANSWERS_KEPT))
        session.execute(delete(Event).where(Event.kind == "deletion", Event.at < now - DELETIONS_KEPT))
    before = (now - ABANDONED).timestamp()
    # The files are looked at before the rows: what has a row by then is not taken for garbage.
    stale = files.older_than(before)
    old = {parent: files.folders_older_than(parent, before) for parent in ("jobs", "datasets", "cache", checkpoints.FOLDER)}
    with database.read() as session:
        sources = set(session.scalars(select(Dataset.source_path)))
        living = {*session.scalars(select(Job.id)), *session.scalars(select(Dataset.id))}
        living |= {path.split("/")[1] for path in session.scalars(select(Checkpoint.path))}
    with database.write() as session:
        files_of_none = checkpoints.sweep(session)
        mail.sweep(session)
    files.remove(files_of_none)
    abandoned = [path for path in stale if path not in sources]
    crashpoint("tidying.looked")
    files.remove(abandoned)
    left = [f"{parent}/{name}" for parent, names in old.items() for name in names if name not in living]
    # An upload can outlive the dataset it came as: others may have been read from it.
    files.remove_folders(left, [source for source in sources if source.rpartition("/")[0] in left])
    if abandoned or left:
        logger.info("removed %s files of interrupted uploads, and what was left in %s folders", len(abandoned), len(left))
