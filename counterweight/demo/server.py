"""A service of the demo's own: started in a home of its own on a free port, and ended whatever happens."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 35.0
LOOK_EVERY_S = 0.1
TAIL_LINES = 20


class DemoFailed(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True)
class OwnServer:
    """A running service: its address, its process and its log."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path


@contextmanager
def own_server(home: Path) -> Iterator[OwnServer]:
    """Start a service in `home`; end it, and all it started, on the way out."""
    log = home / "serve.log"
    with log.open("wb") as file:
        # A session of its own: Ctrl-C reaches us alone, and we end the service in order.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "service"], env=_environment(home), stdout=file, stderr=file, start_new_session=True
        )
    try:
        yield OwnServer(_address_once_ready(process, log), process, log)
    finally:
        _stop(process)


def tail(log: Path) -> list[str]:
    """Return the log's last lines."""
    return log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if log.exists() else []


def _environment(home: Path) -> dict[str, str]:
    """Whatever is configured for another service must not lead this one to its database."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERWEIGHT_")}
    return {**foreign, "COUNTERWEIGHT_HOME": str(home), "COUNTERWEIGHT_BIND": "127.0.0.1:0"}


def _address_once_ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return the service's address, which its log tells, once it answers that it is ready."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed(f"the service ended at its start with status {process.returncode}")
        told = re.search(r"listens on (http://\S+)", log.read_text(errors="replace"))
        if told and _is_ready(told[1]):
            return told[1]
        time.sleep(LOOK_EVERY_S)
    raise DemoFailed(f"the service was not ready within {START_TIMEOUT_S:.0f} s")


def _is_ready(url: str) -> bool:
    # Without the environment's proxies, none of which can reach this host's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        # Its children see that it is gone, and go too.
        process.kill()
        process.wait()
