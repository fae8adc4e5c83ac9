"""One real cluster for all tests of a file."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.ray.cluster import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with contextlib.closing(Cluster()) as running:
        running.start()
        yield running
