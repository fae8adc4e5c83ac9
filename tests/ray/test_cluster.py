"""Jobs on a real Ray cluster: the digits of this host, and an attempt that is lost with whatever died is made up for by the next."""

import contextlib
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from sqlalchemy import func, select

from service.persistence.tables import Mail
from tests.conftest import BACKENDS, fresh_database
from tests.ray.cluster import Cluster
from tests.ray.served import PATIENCE_S, Served, serving, until_kept

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")

SPEC: dict[str, Any] = {
    "training": {"max_epochs": 60, "batch_size": 8, "early_stopping": None},
    "learner": {"kind": "mlp", "numeric_embedding": "none", "dropout": 0.2},
}
ENDLESS: dict[str, Any] = {"training": {"max_epochs": 100_000, "early_stopping": None}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with contextlib.closing(Cluster()) as running:
        running.start()
        yield running


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with fresh_database(request.param, folder, request) as url, serving(url, folder, cluster, SPEC, workers="1") as running:
        yield running


def test_a_job_on_ray_comes_to_the_digits_of_this_host(served: Served) -> None:
    job_id = served.submit()

    assert served.outcomes(job_id) == ["succeeded"]
    with served.database.read() as session:
        waiting = session.scalar(select(func.count()).select_from(Mail))
    assert waiting is not None
    assert waiting < 64


@pytest.mark.parametrize("what", ["workers.backends.ray_driver", "ray::JobSupervisor", "node", "cluster"])
def test_what_dies_on_the_cluster_loses_an_attempt_and_no_more(served: Served, cluster: Cluster, what: str) -> None:
    job_id = served.submit_and_keep()

    if what == "cluster":
        cluster.kill("head")
    if what in ("node", "cluster"):
        cluster.kill("node")
    else:
        for process in cluster.processes("node", what)[:1]:
            process.kill()
    if what == "cluster":
        cluster.start()
    elif what == "node":
        cluster.start_node()

    *before, last = served.outcomes(job_id)
    assert (set(before), last) == ({"lost"}, "succeeded")
    assert "goes on from a checkpoint" in served.lines(job_id)


def test_a_driver_that_outlives_its_raylet_is_refused_once_ray_has_noticed(served: Served, cluster: Cluster) -> None:
    """Ray takes some twenty seconds: a job that is done by then has succeeded."""
    job_id = served.server.submit(served.dataset_id, **ENDLESS)
    until_kept(served.database, job_id)
    (driver,) = cluster.processes("node", "workers.backends.ray_driver")

    for raylet in cluster.processes("node", "raylet"):
        raylet.kill()
    cluster.kill("node")
    cluster.start_node()
    served.server.wait(f"/jobs/{job_id}", lambda job: job["attempt"]["number"] == 2 and job["phase"] == "training", PATIENCE_S)

    driver.wait(timeout=30)
    assert "goes on from a checkpoint" in served.lines(job_id)
    assert served.server.client.post(f"/jobs/{job_id}/cancel").status_code == 202
    assert served.server.finish(job_id)["state"] == "cancelled"


def test_a_head_that_is_started_anew_costs_at_most_an_attempt(served: Served, cluster: Cluster) -> None:
    job_id = served.submit_and_keep()

    cluster.restart()

    assert served.outcomes(job_id)[-1] == "succeeded"


def test_a_job_on_ray_is_paused_and_resumed_at_its_step_and_another_cancelled(served: Served) -> None:
    job_id = served.submit_and_keep()

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
    job_id = served.submit_and_keep()

    assert served.server.stop() == 0
    served.server.start()

    assert served.outcomes(job_id) == ["drained", "succeeded"]
