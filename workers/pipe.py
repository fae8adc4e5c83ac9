"""A child's end of the pipe to its agent."""

import os
import resource
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

ORPHANED = 3
"""Exit status of a child whose agent is gone."""

LOST = 4
"""Exit status of a child under which what it ran on broke down: that says nothing against its work."""


def become_child(connection: Connection, on_message: Callable[[bytes], None]) -> None:
    """Make this process a group of its own, and listen for the agent."""
    lead_group()
    listen(connection, on_message)


def lead_group() -> None:
    """Make this process, and all that it will start, a group that can be ended as one."""
    os.setsid()
    settle()
    _leave_no_core()


def listen(connection: Connection, on_message: Callable[[bytes], None]) -> None:
    """Listen at the other end: each message is handed over, and its end ends us."""
    _leave_no_core()
    threading.Thread(target=_listen, args=(connection, on_message), daemon=True, name="agent-pipe").start()


def settle() -> None:
    """Ctrl-C in the terminal is the supervisor's to handle, so it is ignored here. Only a process's main thread may say so."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave_no_core() -> None:
    """A core dump would hold the user's data."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _listen(connection: Connection, on_message: Callable[[bytes], None]) -> None:
    try:
        while True:
            on_message(connection.recv_bytes())
    except (EOFError, OSError):
        # The agent is gone: nobody would record what is computed from here on.
        os._exit(ORPHANED)
