"""Clearing away what nothing points to any more."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import delete, select

from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import Dataset, IdempotentAnswer

logger = logging.getLogger(__name__)

ANSWERS_KEPT = timedelta(days=7)
"""A repeat after this makes something new; the contract promises a day."""

ABANDONED = timedelta(days=1)
"""A file without a row is this old before it is taken for the rest of an interrupted upload, and not for one under way."""


def tidy(database: Database, files: Files, now: datetime) -> None:
    """Remove old idempotent answers, and files that interrupted uploads left behind."""
    with database.write() as session:
        session.execute(delete(IdempotentAnswer).where(IdempotentAnswer.created_at < now - ANSWERS_KEPT))
    stale = files.older_than((now - ABANDONED).timestamp())
    with database.read() as session:
        known = set(session.scalars(select(Dataset.source_path)))
    abandoned = [path for path in stale if path not in known]
    files.remove(abandoned)
    if abandoned:
        logger.info("removed %s files of interrupted uploads", len(abandoned))
