"""The API process: uvicorn on a listening socket that outlives it."""

import logging
import os
import resource
import signal
import socket
import stat
import sys
import threading
from datetime import UTC, datetime
from types import FrameType

import uvicorn

from counterweight import logs
from counterweight.settings import MISCONFIGURED, ServerSettings
from service.api.app import make_app
from service.api.journal import RequestIds
from service.persistence import keys, revision, starting
from service.persistence.database import Database
from service.persistence.files import Files

logger = logging.getLogger(__name__)

EMBEDDED_MIGRATION_S = 60
"""So long the supervisor's migration of the embedded database may take."""

SLOW_ANSWERS_S = 5
"""After this, answers still under way at the end are given up; uploads, mostly."""


def serve(settings: ServerSettings, descriptor: int) -> int:
    """Serve on an inherited listening socket until SIGTERM, or until stdin, a pipe from the supervisor, ends. Return the exit status."""
    logs.configure(settings.log_format)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RequestIds())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    _leave_with_supervisor()
    try:
        database = Database(settings.sqlalchemy_url)
        revision.wait_until_current(database, EMBEDDED_MIGRATION_S if settings.is_embedded else 0)
        admits_somebody = _admits_somebody(settings, database)
        files = Files(settings.files_folder)
    except starting.OBSTACLES as error:
        return starting.explain(error, settings)
    if not admits_somebody:
        return _misconfigured(
            f"{settings.bind} can be reached from other machines, and there is no API key; set COUNTERWEIGHT_BOOTSTRAP_KEY, or run "
            "`counterweight keys create NAME --scope admin --offline`, or bind to 127.0.0.1"
        )
    _allow_many_connections()
    app = make_app(settings, database, files)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SLOW_ANSWERS_S,
    )
    _Server(config).run([socket.socket(fileno=descriptor)])
    database.close()
    return 0


class _Server(uvicorn.Server):
    """Lets those who wait for a change go first: they would hold up the end for a minute."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.service.notifier.end()  # type: ignore[union-attr]  # The app is ours.
        await super().shutdown(sockets)


def _allow_many_connections() -> None:
    """Each client that waits is an open file, and the customary limit of 1,024 is far below what one process can serve."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _admits_somebody(settings: ServerSettings, database: Database) -> bool:
    now = datetime.now(UTC)
    if settings.bootstrap_key is not None:
        with database.write() as session:
            keys.ensure_bootstrap(session, settings.bootstrap_key.get_secret_value(), now)
    with database.read() as session:
        return settings.is_loopback or keys.any_active(session, now)


def _misconfigured(message: str) -> int:
    logger.error("%s", message)
    return MISCONFIGURED


def _leave(_number: int, _frame: FrameType | None) -> None:
    """Before uvicorn takes over the signals, and when it raises them again after it has ended."""
    sys.exit(0)


def _leave_with_supervisor() -> None:
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return  # Started by hand.

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor", daemon=True).start()
