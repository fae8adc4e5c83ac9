"""`python -P -m service.migrate`: bring the configured database to this release's schema."""

import logging
import sys

from sqlalchemy.exc import OperationalError

from counterweight import logs
from counterweight.settings import read_server_settings
from service.persistence import schema
from service.persistence.database import Database

logger = logging.getLogger(__name__)


def main() -> int:
    settings = read_server_settings()
    logs.configure(settings.log_format, logging.WARNING)
    database = Database(settings.sqlalchemy_url)
    try:
        schema.upgrade(database)
    except OperationalError as error:
        shown = database.url.render_as_string(hide_password=True)
        logger.error("cannot reach %s: %s", shown, str(error.orig).strip())
        return 1
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
