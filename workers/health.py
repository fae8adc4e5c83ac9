"""`python -P -m workers.health`: whether the worker of this home still beats, for the health check of a container."""

import sys
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from counterweight.settings import read_server_settings
from service.persistence import agents
from service.persistence.database import Database
from workers import home


def main() -> int:
    settings = read_server_settings()
    database = Database(settings.sqlalchemy_url)
    try:
        with database.read() as session:
            beat_at = agents.last_beat(session, home.identity(settings.home))
    except SQLAlchemyError as error:
        return _ill(f"the database does not answer: {str(error).splitlines()[0]}")
    finally:
        database.close()
    if beat_at is None:
        return _ill(f"no worker runs on {settings.home}")
    silent_s = (datetime.now(UTC) - beat_at).total_seconds()
    return _ill(f"the worker has been silent for {silent_s:.0f} s") if silent_s > settings.lease_s else 0


def _ill(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
