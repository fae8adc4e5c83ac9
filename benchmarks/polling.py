"""What 64 dashboards get that ask for a job again and again, beside MLflow's server asked for a run by the same clients in turn."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.figures import Figure
from benchmarks.load import Load, median, poll
from tests import records
from tests.server import Server, free_port
from tests.tables_of_numbers import two_blobs

CLIENTS = 64
SECONDS = 4.0
ROUNDS = 3
START_S = 120
API = "api/2.0/mlflow"


def measure(mlflow: Path | None) -> list[Figure]:
    """Measure ours on each database, and MLflow, on SQLite, out of the virtual environment `mlflow` where there is one."""
    return [figure for kind in records.available() for figure in _beside(mlflow, kind)]


def _beside(mlflow: Path | None, kind: str) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory() as folder,
        records.fresh(kind, Path(folder)) as url,
        Server(Path(folder) / "home", database_url=url) as server,
    ):
        job_id = server.submit(server.upload(two_blobs(), target="event"), training={"max_epochs": 2})
        server.finish(job_id)
        ours = f"{server.url}/api/v1/jobs/{job_id}"
        what = f"GET a job, 64 pollers, {kind}, requests/s"
        if mlflow is None:
            (found,) = _in_turn([ours])
            return [Figure(what, _shown(found), "MLflow absent (give --mlflow or BENCH_MLFLOW)", None, 10.0)]
        with _mlflow_run(mlflow, Path(folder)) as theirs:
            found, peer = _in_turn([ours, theirs])
    broken = f", {peer.broken} connections broken" if peer.broken else ""
    assert found.broken == 0
    return [
        Figure(what, f"{found.per_s:.0f}", f"MLflow {peer.per_s:.0f}{broken}", found.per_s / peer.per_s, 10.0),
        Figure("its wait, p50", f"{found.p50_ms:.0f} ms", f"MLflow {peer.p50_ms:.0f} ms", peer.p50_ms / found.p50_ms, 10.0),
        Figure("its wait, p99", f"{found.p99_ms:.0f} ms", f"MLflow {peer.p99_ms:.0f} ms", peer.p99_ms / found.p99_ms, 10.0),
    ]


def _in_turn(urls: list[str]) -> list[Load]:
    """Return the median load of each server; they take turns, and the first turn only warms them."""
    loads: list[list[Load]] = [[] for _ in urls]
    for round_ in range(ROUNDS + 1):
        for url, of_server in zip(urls, loads, strict=True):
            of_server.append(poll(url, CLIENTS, SECONDS if round_ else 1.0))
    return [median(of_server[1:]) for of_server in loads]


def _shown(load: Load) -> str:
    return f"{load.per_s:.0f} (p50 {load.p50_ms:.0f}, p99 {load.p99_ms:.0f} ms)"


@contextmanager
def _mlflow_run(environment: Path, folder: Path) -> Iterator[str]:
    """Start MLflow's server as its documentation does, with one run in it; yield the address of that run."""
    base = f"http://127.0.0.1:{free_port()}"
    store, port = f"sqlite:///{folder / 'mlflow.db'}", base.rpartition(":")[2]
    command = [str(environment / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", port, "--backend-store-uri", store]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COUNTERWEIGHT_", "VIRTUAL_ENV"))}
    path = {"PATH": f"{environment / 'bin'}{os.pathsep}{clean['PATH']}"}
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--artifacts-destination", str(folder / "artifacts")],
            env=clean | path,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _until_up(f"{base}/health", process, folder / "mlflow.log")
        with httpx.Client(base_url=f"{base}/{API}", timeout=60) as client:
            run = client.post("/runs/create", json={"experiment_id": "0", "start_time": 0}).raise_for_status().json()["run"]["info"]
            metrics = [{"key": key, "value": 0.5, "timestamp": 1, "step": step} for step in range(2) for key in ("loss", "precision")]
            client.post("/runs/log-batch", json={"run_id": run["run_id"], "metrics": metrics}).raise_for_status()
        yield f"{base}/{API}/runs/get?run_id={run['run_id']}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _until_up(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            assert process.poll() is None, log.read_text(errors="replace")
            time.sleep(0.2)
    raise AssertionError(f"MLflow did not answer within {START_S} s:\n{log.read_text(errors='replace')}")
