"""What a server process says when it cannot start: the obstacle and the way out, in one line."""

import logging

from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError, ProgrammingError

from counterweight.settings import MISCONFIGURED, ServerSettings
from service.persistence.revision import SchemaOutdated

logger = logging.getLogger(__name__)

UNREACHABLE = 1
"""The exit status that says: starting again may help."""

OBSTACLES = (SchemaOutdated, OperationalError, ProgrammingError, OSError)


def explain(error: SchemaOutdated | OperationalError | ProgrammingError | OSError, settings: ServerSettings) -> int:
    """Log what stands in the way; return the exit status."""
    match error:
        case SchemaOutdated():
            logger.error("%s", error)
        case OperationalError() | ProgrammingError():
            logger.error("%s", unreachable(error, settings))
            return UNREACHABLE
        case OSError():
            logger.error("cannot use %s: %s; mend that, or choose another folder", error.filename, error.strerror)
    return MISCONFIGURED


def unreachable(error: OperationalError | ProgrammingError, settings: ServerSettings) -> str:
    """Say which database does not answer, without its password, and why."""
    shown = make_url(settings.sqlalchemy_url).render_as_string(hide_password=True)
    return f"cannot reach {shown}: {' '.join(str(error.orig).split())}"
