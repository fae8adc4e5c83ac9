"""Jobs on a real Ray cluster: the digits of this host, and an attempt that is lost with whatever died is made up for by the next."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest
from sqlalchemy import func, select

from service.persistence.database import Database
from service.persistence.tables import Event, Mail, Model
from tests.conftest import BACKENDS, fresh_database
from tests.faults.test_resuming import Digits, digits
from tests.ray.cluster import Cluster
from tests.ray.record import until_kept
from tests.server import Server
from tests.tables_of_numbers import two_blobs

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")

SPEC: dict[str, Any] = {
    "training": {"max_epochs": 60, "batch_size": 8, "early_stopping": None},
    "learner": {"kind": "mlp", "numeric_embedding": "none", "dropout": 0.2},
}
ENDLESS: dict[str, Any] = {"training": {"max_epochs": 100_000, "early_stopping": None}}
PATIENCE_S = 240


@dataclass(frozen=True)
class Served:
    """A service whose worker sends jobs to Ray, and what a job comes to on this host."""

    server: Server
    database: Database
    dataset_id: str
    calm: Digits

    def submit(self) -> str:
        return self.server.submit(self.dataset_id, **SPEC)

    def finish(self, job_id: str) -> list[dict[str, Any]]:
        """Wait until the job has succeeded, once and with the digits of this host; return its attempts."""
        assert self.server.finish(job_id, PATIENCE_S)["state"] == "succeeded", self.server.tale
        assert digits(self.server, job_id) == self.calm
        with self.database.read() as session:
            assert session.scalar(select(func.count()).where(Event.subject == job_id, Event.to_state == "succeeded")) == 1
            assert session.scalar(select(func.count()).where(Model.job_id == job_id)) == 1
        return list(self.server.read(f"/jobs/{job_id}/attempts")["data"])

    def outcomes(self, job_id: str) -> list[str]:
        return [attempt["outcome"] for attempt in sorted(self.finish(job_id), key=lambda attempt: attempt["number"])]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with contextlib.closing(Cluster()) as running:
        running.start()
        yield running


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with fresh_database(request.param, folder, request) as url, contextlib.closing(Database(url)) as database:
        shared = {"database_url": url, "files_url": f"file://{folder / 'files'}", "devices": "cpu", "lease_s": "4", "checkpoint_s": "0.3"}
        # As many processor threads each as a trainer on the cluster has.
        with Server(folder / "home", workers="2", **shared) as local:
            dataset_id = local.upload(two_blobs(), target="event")
            calm = local.submit(dataset_id, **SPEC)
            local.finish(calm)
            expected = digits(local, calm)
        server = Server(folder / "home", workers="1", backend="ray", ray_address=cluster.address, ray_token=cluster.token, **shared)
        server.environment["COUNTERWEIGHT_URL"] = server.url
        with server:
            yield Served(server, database, dataset_id, expected)


def test_a_job_on_ray_comes_to_the_digits_of_this_host(served: Served) -> None:
    job_id = served.submit()

    assert served.outcomes(job_id) == ["succeeded"]
    with served.database.read() as session:
        waiting = session.scalar(select(func.count()).select_from(Mail))
    assert waiting is not None
    assert waiting < 64


@pytest.mark.parametrize("what", ["workers.backends.ray_driver", "ray::JobSupervisor", "raylet", "node", "cluster"])
def test_what_dies_on_the_cluster_loses_an_attempt_and_no_more(served: Served, cluster: Cluster, what: str) -> None:
    job_id = served.submit()
    until_kept(served.database, job_id)

    if what == "cluster":
        cluster.kill("head")
    if what in ("node", "cluster"):
        cluster.kill("node")
    else:
        for process in cluster.processes("node", what)[:1]:
            process.kill()
    if what == "cluster":
        cluster.start()
    elif what in ("raylet", "node"):
        cluster.kill("node")
        cluster.start_node()

    *before, last = served.outcomes(job_id)
    assert (set(before), last) == ({"lost"}, "succeeded")
    assert any("goes on from a checkpoint" in line["message"] for line in served.server.read(f"/jobs/{job_id}/logs")["data"])


def test_a_head_that_is_started_anew_costs_at_most_an_attempt(served: Served, cluster: Cluster) -> None:
    job_id = served.submit()
    until_kept(served.database, job_id)

    cluster.kill("head")
    cluster.start_head()
    # It is a node of the cluster that was.
    cluster.kill("node")
    cluster.start_node()

    assert served.outcomes(job_id)[-1] == "succeeded"


def test_a_job_on_ray_is_paused_and_resumed_at_its_step_and_another_cancelled(served: Served) -> None:
    job_id = served.submit()
    until_kept(served.database, job_id)

    asked = time.monotonic()
    assert served.server.client.post(f"/jobs/{job_id}/pause").status_code == 202
    paused = served.server.wait(f"/jobs/{job_id}", lambda job: job["state"] != "pausing")
    took_s = time.monotonic() - asked
    endless = served.server.submit(served.dataset_id, **ENDLESS)
    served.server.wait(f"/jobs/{endless}", lambda job: job["progress"] is not None)
    asked = time.monotonic()
    assert served.server.client.post(f"/jobs/{endless}/cancel").status_code == 202
    cancelled = served.server.finish(endless)

    assert (paused["state"], cancelled["state"]) == ("paused", "cancelled")
    assert max(took_s, time.monotonic() - asked) < 10
    assert served.server.client.post(f"/jobs/{job_id}/resume").status_code == 202
    assert served.outcomes(job_id) == ["paused", "succeeded"]


def test_a_worker_that_is_told_to_stop_leaves_its_job_at_a_checkpoint(served: Served) -> None:
    job_id = served.submit()
    until_kept(served.database, job_id)

    assert served.server.stop() == 0
    served.server.start()

    assert served.outcomes(job_id) == ["drained", "succeeded"]
