"""`counterweight serve`: the API and the agent of this host as two processes, started together and ended together."""

import contextlib
import errno
import logging
import os
import queue
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from counterweight import logs
from counterweight.settings import MISCONFIGURED, ServerSettings, read_server_settings
from migrations import HEAD
from service import health
from service.api.sockets import bind
from service.persistence import locks

logger = logging.getLogger(__name__)

SHUTDOWN_S = 25
FIRST_ANSWER_S = 30
SLOWEST_RESTART_S = 5.0

STARTED_S = 3.0
"""Who lives so long and is then killed, for want of memory for example, had started: it would not end at once again."""


@dataclass
class Part:
    """One supervised process; `runs` is None before the first start and between two."""

    name: str
    command: list[str]
    descriptors: tuple[int, ...] = ()
    once: bool = False
    await_first: Callable[[], None] | None = None
    runs: "subprocess.Popen[bytes] | None" = None
    delay_s: float = field(default=0.1)
    started_at: float = 0.0


class Supervisor:
    """Starts the parts, starts again what dies, and ends all of them when told to or when one cannot run."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._events: queue.SimpleQueue[Part | None] = queue.SimpleQueue()
        self._is_stopping = False

    def stop(self) -> None:
        """Ask for the end; may be called from a signal handler."""
        self._events.put(None)

    def run(self) -> int:
        """Run until `stop` or until a part cannot run; return the exit status."""
        for part in self._parts:
            begin = self._start if part.runs is None else self._await_end
            threading.Thread(target=begin, args=(part,), daemon=True).start()
        status = 0
        while status == 0 and (ended := self._events.get()) is not None:
            status = self._after_end(ended)
        self._shut_down()
        return status

    def _start(self, part: Part) -> None:
        if part.await_first is not None:
            part.await_first()
        if self._is_stopping:
            return
        # The child reads its end of this pipe: when we are gone, however we ended, it sees the end and goes too.
        part.runs = subprocess.Popen([sys.executable, "-P", "-m", *part.command], stdin=subprocess.PIPE, pass_fds=part.descriptors)
        part.started_at = time.monotonic()
        self._await_end(part)

    def _await_end(self, part: Part) -> None:
        assert part.runs is not None
        part.runs.wait()
        self._events.put(part)

    def _after_end(self, part: Part) -> int:
        """React to a part that ended: 0 to go on, else the status to exit with."""
        assert part.runs is not None
        code = part.runs.returncode
        if code == MISCONFIGURED or (part.once and code != 0):
            return MISCONFIGURED
        if part.once:
            return 0
        if time.monotonic() - part.started_at > (STARTED_S if code < 0 else 2 * SLOWEST_RESTART_S):
            part.delay_s = 0.1
        logger.warning("the %s ended with status %s; starting it again in %.1f s", part.name, code, part.delay_s)
        timer = threading.Timer(part.delay_s, self._start, [part])
        timer.daemon = True
        timer.start()
        part.delay_s = min(2 * part.delay_s, SLOWEST_RESTART_S)
        return 0

    def _shut_down(self) -> None:
        self._is_stopping = True
        running = [part.runs for part in self._parts if part.runs is not None and part.runs.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + SHUTDOWN_S
        for process in running:
            try:
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                logger.warning("process %s did not end in time; killing it", process.pid)
                process.kill()
                process.wait()


def main(api: "subprocess.Popen[bytes]", channel: socket.socket) -> int:
    """Supervise an API that is loading already and waits at the other end of `channel` for its socket; return the exit status."""
    settings = read_server_settings()
    logs.configure(settings.log_format)
    path = settings.home / "serve.lock"
    try:
        lock = locks.hold(path)
    except OSError as error:
        sys.stderr.write(f"Cannot use {settings.home} as a home: {error.strerror}. Mend that, or choose another --home\n")
        return MISCONFIGURED
    if lock is None:
        owner = path.read_text() or "just starting"
        sys.stderr.write(f"Counterweight already serves {settings.home} ({owner}). Use that one, stop it, or choose another --home\n")
        return 1
    locks.sign(lock, f"process {os.getpid()} on {settings.bind}")
    try:
        listener = bind(settings.host, settings.port)
    except OSError as error:
        in_the_way = "Stop what listens there, or choose" if error.errno == errno.EADDRINUSE else "Choose an address of this machine, or"
        sys.stderr.write(f"Cannot listen on {settings.bind}: {error.strerror}. {in_the_way} another port: --port 8322\n")
        return 1
    socket.send_fds(channel, [b"s"], [listener.fileno()])
    supervisor = Supervisor(_parts(settings, listener, api))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: supervisor.stop())
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    logger.info("Counterweight listens on http://%s:%s (home %s)", host, listener.getsockname()[1], settings.home)
    return supervisor.run()


def _is_current(database: Path) -> bool:
    """Whether the embedded database has this release's schema; asked without SQLAlchemy, which takes longer to load than to ask."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            found: tuple[str] | None = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            return found == (HEAD,)
    except sqlite3.Error:
        return False


def _parts(settings: ServerSettings, listener: socket.socket, api: "subprocess.Popen[bytes]") -> list[Part]:
    parts = [Part("API", ["service.api", "--fd", str(listener.fileno())], (listener.fileno(),), runs=api, started_at=time.monotonic())]
    if settings.embedded_database is not None and not _is_current(settings.embedded_database):
        # Beside the others, which wait for it: loading them takes longer than the migration.
        parts.insert(0, Part("migration", ["service.migrate"], once=True))
    if settings.workers != 0:
        # Second: its imports would take the processor from those of the API, which somebody waits for.
        parts.append(Part("worker", ["workers", "--supervised"], await_first=lambda: _await_answer(listener)))
    return parts


def _await_answer(listener: socket.socket) -> None:
    """Return once the API answers, or after a while."""
    host, port = listener.getsockname()[:2]
    health.answers(host, port, FIRST_ANSWER_S)
