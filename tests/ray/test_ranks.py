"""Jobs whose two ranks Ray Train starts on two nodes: the digits of torch's launcher here, and who dies costs an attempt and no step."""

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import psutil
import pytest

from tests.api.conftest import until
from tests.conftest import BACKENDS, fresh_database
from tests.ray.cluster import Cluster
from tests.ray.served import Served, serving

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")

DRIVER, CONTROLLER, RANK = "workers.backends.ray_driver", "ray::TrainController", "ray::RayTrainWorker"
SPEC: dict[str, Any] = {
    "training": {"max_epochs": 30, "batch_size": 8, "early_stopping": None},
    "learner": {"kind": "mlp", "numeric_embedding": "none", "dropout": 0.2},
    "resources": {"device": "cpu", "gpus": 2},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes, each with room for one rank of two processors and not for both."""
    with contextlib.closing(Cluster(cpus=3, nodes=("one", "other"))) as running:
        running.start()
        yield running


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    settings = {"workers": "2", "ray_cpus": "2"}
    with fresh_database(request.param, folder, request) as url, serving(url, folder, cluster, SPEC, **settings) as running:
        yield running


def everywhere(cluster: Cluster, name: str) -> list[psutil.Process]:
    """The processes of a name on all nodes, and on the head, which for Ray is the node of whatever connects from its address."""
    return [process for node in ("head", *cluster.nodes) for process in cluster.processes(node, name)]


def test_ranks_on_two_nodes_come_to_the_digits_of_ranks_on_this_host(served: Served, cluster: Cluster) -> None:
    job_id = served.submit_and_keep()
    ranks = [len(cluster.processes(node, RANK)) for node in cluster.nodes]

    assert served.outcomes(job_id) == ["succeeded"]
    assert ranks == [1, 1]
    until(lambda: cluster.status_of(f"{job_id}-1") == "SUCCEEDED")


@pytest.mark.parametrize(("what", "outcome"), [(DRIVER, "lost"), (RANK, "crashed"), (CONTROLLER, "lost"), ("cluster", "lost")])
def test_what_dies_under_ranks_costs_an_attempt_and_no_step(served: Served, cluster: Cluster, what: str, outcome: str) -> None:
    job_id = served.submit_and_keep()
    ranks = everywhere(cluster, RANK)

    if what == "cluster":
        cluster.restart()
    else:
        everywhere(cluster, what)[-1].kill()

    assert served.outcomes(job_id) == [outcome, "succeeded"]
    assert "goes on from a checkpoint" in served.lines(job_id)
    # The other rank, too: nobody would hear what it computes.
    assert psutil.wait_procs(ranks, timeout=10)[1] == []


def test_a_job_of_ranks_is_paused_and_resumed_at_its_step(served: Served) -> None:
    job_id = served.submit_and_keep()

    assert served.server.client.post(f"/jobs/{job_id}/pause").status_code == 202
    assert served.server.wait(f"/jobs/{job_id}", lambda job: job["state"] != "pausing")["state"] == "paused"
    assert served.server.client.post(f"/jobs/{job_id}/resume").status_code == 202

    assert served.outcomes(job_id) == ["paused", "succeeded"]
