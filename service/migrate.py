"""`python -P -m service.migrate`: bring the configured database to this release's schema."""

import logging
import sys
from contextlib import closing

from counterweight import logs
from counterweight.settings import read_server_settings
from service.persistence import schema, starting
from service.persistence.database import Database


def main() -> int:
    settings = read_server_settings()
    logs.configure(settings.log_format, logging.WARNING)
    try:
        with closing(Database(settings.sqlalchemy_url)) as database:
            schema.upgrade(database)
    except starting.OBSTACLES as error:
        return starting.explain(error, settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
