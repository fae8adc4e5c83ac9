"""`python -P -m workers`: the agent of this host."""

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from counterweight import logs
from counterweight.settings import MISCONFIGURED, ClientSettings, ServerSettings, read_server_settings
from service.persistence import datasets, locks, revision, starting
from service.persistence.database import Database
from service.persistence.files import Files
from workers import devices, home
from workers.agent import Agent
from workers.backends.backend import Backend
from workers.backends.local import LocalBackend

logger = logging.getLogger(__name__)

PREDECESSOR_TIMEOUT_S = 15
SCHEMA_TIMEOUT_S = 60
RECORD_TIMEOUT_S = 5

NO_RECORD = (
    "there is no record at %s, so nothing to work for. On the host of the service, give this worker the home of `counterweight serve "
    "--workers 0`. On another host it needs the service's PostgreSQL database, COUNTERWEIGHT_DATABASE_URL=postgresql+psycopg://…, and a "
    "folder that both hosts mount, COUNTERWEIGHT_FILES_URL=file:///…; SQLite serves one host only"
)
OTHER_FILES = (
    "the record names the file %s, and it is not in %s: this is not the folder that the service uses. Set COUNTERWEIGHT_FILES_URL to that "
    "folder, which every host must mount"
)


def main() -> int:
    settings = read_server_settings()
    logs.configure(settings.log_format)
    if "--supervised" in sys.argv:
        # Before all that may wait: nobody would end an orphan that waits.
        threading.Thread(target=_die_with_supervisor, daemon=True).start()
    elif settings.embedded_database is not None and not _comes_to_be(settings.embedded_database):
        logger.error(NO_RECORD, settings.embedded_database)
        return MISCONFIGURED
    try:
        lock = locks.hold(settings.home / "agent.lock", PREDECESSOR_TIMEOUT_S)
        if lock is None:
            logger.error("another worker already runs on %s; give this one a home of its own with --home", settings.home)
            return MISCONFIGURED
        database = Database(settings.sqlalchemy_url)
        revision.wait_until_current(database, SCHEMA_TIMEOUT_S if settings.is_embedded else 0)
        files, name = Files(settings.files_folder), home.identity(settings.home)
        with database.read() as session:
            absent = datasets.absent_source(session, files)
        if absent is not None:
            logger.error(OTHER_FILES, absent, settings.files_folder)
            return MISCONFIGURED
    except starting.OBSTACLES as error:
        return starting.explain(error, settings)
    backend: Backend = LocalBackend()
    slots = devices.slots(settings)
    if settings.backend == "ray":
        backend = _ray_backend(settings, database)
        slots = devices.cluster_slots(settings)
    # Children inherit the environment, and it names the database and its password.
    for variable in [variable for variable in os.environ if variable.startswith(("COUNTERWEIGHT_", "PG"))]:
        del os.environ[variable]
    agent = Agent(database, files, backend, slots, name, settings.lease_s, settings.most_in_a_cohort, settings.checkpoint_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: agent.stop())
    with home.sockets(settings.home):
        agent.run()
    database.close()
    lock.close()
    return 0


def _ray_backend(settings: ServerSettings, database: Database) -> Backend:
    # Imported here and not above: it speaks HTTP, which no other worker does, and every start would wait for that.
    from workers.backends.ray import RayBackend  # noqa: PLC0415
    from workers.backends.ray_jobs import RayJobs  # noqa: PLC0415

    token = None if settings.ray_token is None else settings.ray_token.get_secret_value()
    return RayBackend(database, RayJobs(settings.ray_address, token), ClientSettings().url, settings.lease_s)


def _comes_to_be(record: Path) -> bool:
    """Whether the service's database is there, or is made within the time that a service takes to start beside us."""
    deadline = time.monotonic() + RECORD_TIMEOUT_S
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return record.exists()


def _die_with_supervisor() -> None:
    """The supervisor holds the other end of our standard input: when it is gone, however it ended, so are we."""
    # Not through sys.stdin: a thread inside a buffered read makes the interpreter's own end fail.
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
