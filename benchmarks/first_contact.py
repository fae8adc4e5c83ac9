"""What a user feels first: how long until the service answers, until a job takes its first step, and what the idle API costs."""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.figures import Figure, at_most
from tests.server import Server
from tests.tables_of_numbers import two_blobs

ROUNDS = 5
HEAVY = ("torch", "duckdb", "pandas", "numpy", "pyarrow")
ONE_STEP_AN_EPOCH = {"max_epochs": 3, "batch_size": 100_000, "early_stopping": None}


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        fresh, again = zip(*(_seconds_to_answer(Path(folder) / f"home{round_}") for round_ in range(ROUNDS)), strict=True)
        with Server(Path(folder) / "home") as server:
            dataset_id = server.upload(two_blobs(), target="event")
            first_steps = [_seconds_to_first_step(server, dataset_id, round_) for round_ in range(ROUNDS + 1)][1:]
            _call_every_route(server)
            api = server.part("service.api")
            loaded = [name for name in HEAVY if any(f"/{name}/" in map_.path for map_ in api.memory_maps())]
            memory = api.memory_info().rss / 1e6
    return [
        at_most("serve to first 200, new home", statistics.median(fresh), 2.0, "s"),
        at_most("serve to first 200, existing home", statistics.median(again), 2.0, "s"),
        at_most("warm submit to first optimiser step", statistics.median(first_steps), 0.3, "s"),
        at_most("idle API process after every route was called", memory, 150.0, "MB"),
        Figure("heavy libraries in the API process", ", ".join(loaded) or "none", "limit none", 0.0 if loaded else 1.0),
    ]


def _seconds_to_answer(home: Path) -> tuple[float, float]:
    """Start on a new home, then on the same again: seconds from start to the first 200 of each."""

    def once() -> float:
        server = Server(home)
        server.command = [str(Path(sys.executable).with_name("counterweight")), "serve"]
        started = time.monotonic()
        with server:
            return time.monotonic() - started

    return once(), once()


def _seconds_to_first_step(server: Server, dataset_id: str, seed: int) -> float:
    """Submit a job whose epoch is one step: the first point's time is when that step, and its evaluation, was done."""
    submitted = time.time()
    job_id = server.submit(dataset_id, training=ONE_STEP_AN_EPOCH | {"seed": seed})
    server.finish(job_id)
    series = server.read(f"/jobs/{job_id}/metrics", names="train/loss")["series"][0]
    return float(series["points"][0][2]) - submitted


def _call_every_route(server: Server) -> None:
    """Ask each route of the OpenAPI document once, with ids that exist where that is easy, to load all that it ever loads."""
    document = httpx.get(f"{server.url}/openapi.json").json()
    job_id = server.read("/jobs")["data"][0]["id"]
    dataset_id = server.read("/datasets")["data"][0]["id"]
    for path, operations in document["paths"].items():
        known = path.replace("{job_id}", job_id).replace("{dataset_id}", dataset_id).replace("{key_id}", "key_none")
        for method in operations:
            body: dict[str, Any] = {"json": {}} if method in ("post", "put", "patch") else {}
            # Of what can be had as a stream, which goes on, a page.
            httpx.request(method.upper(), f"{server.url}{known}", headers={"Accept": "application/json, */*;q=0.1"}, timeout=30, **body)
