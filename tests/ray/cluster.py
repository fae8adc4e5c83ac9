"""A real Ray cluster of this host alone, on ports and in a folder of its own: a head that runs no jobs, and nodes that do.

Ray listens on all addresses and by default runs what anybody sends: here nobody gets in without a token.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import psutil

from tests.server import free_port

START_S = 300


class Cluster:
    """`ray start --head`, and `ray start --address` for each node."""

    def __init__(self, cpus: int = 2, nodes: Sequence[str] = ("node",)) -> None:
        self.nodes, self._cpus, self._gcs_port, self._port = nodes, cpus, free_port(), free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        # Ray's sockets lie in it, and a socket's path may have 107 characters.
        self._folder = tempfile.TemporaryDirectory(prefix="cwray", ignore_cleanup_errors=True)
        scripts = Path(sys.executable).parent
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("COUNTERWEIGHT_", "RAY_"))}
        self.token = secrets.token_urlsafe(32)
        guarded = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0"}
        self._environment = clean | guarded | {"PATH": f"{scripts}:{os.environ['PATH']}"}
        self._ray = str(scripts / "ray")
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(Path(self._folder.name).glob("*.log")))

    def start(self) -> None:
        """Start all and return once a job would run."""
        self.start_head()
        for node in self.nodes:
            self.start_node(node)

    def start_head(self) -> None:
        dashboard = ["--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={self._port}"]
        options = ["--head", f"--port={self._gcs_port}", f"--temp-dir={self._folder.name}", "--num-cpus=0", *dashboard]
        self._start("head", options, lambda: self._get("/api/jobs/") is not None and self._living() >= 1)

    def start_node(self, node: str = "node") -> None:
        options = [f"--address=127.0.0.1:{self._gcs_port}", f"--num-cpus={self._cpus}"]
        self._start(node, options, lambda: self.processes(node, "raylet") != [] and self._living() >= len(self._running))

    def restart(self) -> None:
        """Kill the head, start it anew, and then the nodes, which are of the cluster that was."""
        self.kill("head")
        self.start_head()
        for node in self.nodes:
            self.kill(node)
        for node in self.nodes:
            self.start_node(node)

    def _living(self) -> int:
        """How many nodes the head knows as alive, itself being one."""
        return str(self._get("/nodes?view=summary")).count("'ALIVE'")

    def _start(self, what: str, options: list[str], is_up: Callable[[], bool]) -> None:
        """Start it, again where it gives up: on a busy machine parts of Ray do not wait long enough for each other."""
        command = [self._ray, "start", "--block", "--disable-usage-stats", "--include-log-monitor=false", "--num-gpus=0"]
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with (Path(self._folder.name) / f"{what}.log").open("ab") as log:
                size = "--object-store-memory=80000000"
                self._running[what] = subprocess.Popen([*command, size, *options], env=self._environment, stdout=log, stderr=log)
            while self._running[what].poll() is None and time.monotonic() < deadline:
                if is_up():
                    return
                time.sleep(0.2)
        raise AssertionError(self.log)

    def status_of(self, job: str) -> str:
        """What Ray says of one of its jobs."""
        found = self._get(f"/api/jobs/{job}")
        return str(found["status"]) if isinstance(found, dict) else "unknown"

    def _get(self, path: str) -> object:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(f"{self.address}{path}", headers={"Authorization": f"Bearer {self.token}"}, timeout=5)
            return answer.json() if answer.is_success else None
        return None

    def family(self, what: str) -> list[psutil.Process]:
        """The processes of the head or of a node, as far as it runs."""
        if what not in self._running:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            first = psutil.Process(self._running[what].pid)
            return [first, *first.children(recursive=True)]
        return []

    def processes(self, what: str, name: str) -> list[psutil.Process]:
        """Those whose command line begins with a path that ends in `name`, or holds it as a word."""
        found = []
        for process in self.family(what):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = process.cmdline()
                if words and (words[0].rpartition("/")[2].startswith(name) or name in words):
                    found.append(process)
        return found

    def kill(self, what: str) -> None:
        """SIGKILL to everything of the head or a node at once, as when its host is lost."""
        family = self.family(what)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=20)
        if what in self._running:
            self._running.pop(what).wait()

    def close(self) -> None:
        for what in list(self._running):
            self.kill(what)
        self._folder.cleanup()
