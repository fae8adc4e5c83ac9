"""`python -P -m workers`: the agent of this host."""

import logging
import os
import signal
import sys
import threading

from counterweight import logs
from counterweight.settings import MISCONFIGURED, read_server_settings
from service.persistence import locks, revision, starting
from service.persistence.database import Database
from service.persistence.files import Files
from workers import devices, home
from workers.agent import Agent

logger = logging.getLogger(__name__)

PREDECESSOR_TIMEOUT_S = 15
SCHEMA_TIMEOUT_S = 60


def main() -> int:
    settings = read_server_settings()
    logs.configure(settings.log_format)
    if "--supervised" in sys.argv:
        # Before all that may wait: nobody would end an orphan that waits.
        threading.Thread(target=_die_with_supervisor, daemon=True).start()
    try:
        lock = locks.hold(settings.home / "agent.lock", PREDECESSOR_TIMEOUT_S)
        if lock is None:
            logger.error("another worker already runs on %s; give this one a home of its own with --home", settings.home)
            return MISCONFIGURED
        database = Database(settings.sqlalchemy_url)
        revision.wait_until_current(database, SCHEMA_TIMEOUT_S if settings.is_embedded else 0)
        files, name = Files(settings.files_folder), home.identity(settings.home)
    except starting.OBSTACLES as error:
        return starting.explain(error, settings)
    # Children inherit the environment, and it names the database and its password.
    for variable in [variable for variable in os.environ if variable.startswith(("COUNTERWEIGHT_", "PG"))]:
        del os.environ[variable]
    agent = Agent(database, files, devices.slots(settings), name, settings.lease_s, settings.most_in_a_cohort)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: agent.stop())
    agent.run()
    database.close()
    lock.close()
    return 0


def _die_with_supervisor() -> None:
    """The supervisor holds the other end of our standard input: when it is gone, however it ended, so are we."""
    # Not through sys.stdin: a thread inside a buffered read makes the interpreter's own end fail.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
