"""A service whose worker sends jobs to Ray, and looking into its record while one runs."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from service.persistence.database import Database
from service.persistence.tables import Event, Job, Model
from tests.api.conftest import until
from tests.faults.test_resuming import Digits, digits
from tests.ray.cluster import Cluster
from tests.server import Server
from tests.tables_of_numbers import two_blobs

PATIENCE_S = 240


@dataclass(frozen=True)
class Served:
    """A service whose worker sends jobs to Ray, and what one as `spec` asks for comes to on this host."""

    server: Server
    database: Database
    dataset_id: str
    spec: dict[str, Any]
    calm: Digits

    def submit(self) -> str:
        return self.server.submit(self.dataset_id, **self.spec)

    def submit_and_keep(self) -> str:
        """Submit a job, and return it once it has a checkpoint to go on from."""
        job_id = self.submit()
        until_kept(self.database, job_id)
        return job_id

    def outcomes(self, job_id: str) -> list[str]:
        """Wait until the job has succeeded, once and with the digits of this host; return how each of its attempts ended."""
        assert self.server.finish(job_id, PATIENCE_S)["state"] == "succeeded", self.server.tale
        assert digits(self.server, job_id) == self.calm
        with self.database.read() as session:
            assert session.scalar(select(func.count()).where(Event.subject == job_id, Event.to_state == "succeeded")) == 1
            assert session.scalar(select(func.count()).where(Model.job_id == job_id)) == 1
        attempts = self.server.read(f"/jobs/{job_id}/attempts")["data"]
        return [attempt["outcome"] for attempt in sorted(attempts, key=lambda attempt: attempt["number"])]

    def lines(self, job_id: str) -> str:
        """What the job's log says."""
        return "\n".join(line["message"] for line in self.server.read(f"/jobs/{job_id}/logs", limit="200")["data"])


@contextlib.contextmanager
def serving(url: str, folder: Path, cluster: Cluster, spec: dict[str, Any], **of_ray: str) -> Iterator[Served]:
    """Train `spec` on this host, then serve the same record with a worker for the cluster that has these settings."""
    shared = {"database_url": url, "files_url": f"file://{folder / 'files'}", "devices": "cpu", "lease_s": "4", "checkpoint_s": "0.3"}
    with contextlib.closing(Database(url)) as database:
        # As many processor threads each as a trainer on the cluster has.
        with Server(folder / "home", workers="2", **shared) as local:
            dataset_id = local.upload(two_blobs(), target="event")
            calm = local.submit(dataset_id, **spec)
            local.finish(calm)
            expected = digits(local, calm)
        there = {"backend": "ray", "ray_address": cluster.address, "ray_token": cluster.token}
        server = Server(folder / "home", **there, **of_ray, **shared)
        server.environment["COUNTERWEIGHT_URL"] = server.url
        with server:
            yield Served(server, database, dataset_id, spec, expected)


def until_kept(database: Database, job_id: str) -> None:
    """Return once a checkpoint of the job is in the record: its file alone is not gone on from."""

    def is_kept() -> bool:
        with database.read() as session:
            return session.get_one(Job, job_id).checkpoint_id is not None

    until(is_kept, timeout_s=240)
