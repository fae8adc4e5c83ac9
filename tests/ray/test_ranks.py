"""Jobs of two ranks that Ray Train starts: the digits of torch's launcher on this host, and whoever dies costs an attempt and no step."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.conftest import BACKENDS, fresh_database
from tests.ray.cluster import Cluster
from tests.ray.served import Served, serving

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the package ray is not installed")

RANK = "ray::RayTrainWorker"
SPEC: dict[str, Any] = {
    "training": {"max_epochs": 60, "batch_size": 8, "early_stopping": None},
    "learner": {"kind": "mlp", "numeric_embedding": "none", "dropout": 0.2},
    "resources": {"device": "cpu", "gpus": 2},
}


@pytest.fixture(scope="module", params=BACKENDS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with fresh_database(request.param, folder, request) as url, serving(url, folder, cluster, SPEC, workers=2) as running:
        yield running


def test_ranks_on_ray_come_to_the_digits_of_ranks_on_this_host(served: Served, cluster: Cluster) -> None:
    job_id = served.submit_and_keep()
    ranks = cluster.processes("node", RANK)

    assert len(ranks) == 2
    assert served.outcomes(job_id) == ["succeeded"]
