"""A client that others generate from our OpenAPI document: nothing of it is left out, it type-checks, and it submits a job."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.server import Server

PACKAGE = "generated"
CONFIG = """
post_hooks: []
content_type_overrides:
  text/csv: application/octet-stream
  application/vnd.apache.parquet: application/octet-stream
"""
"""Without its formatter; and the generator knows a body of bytes under one name only."""

SCRIPT = """
import sys
import time

from generated import Client
from generated.api.jobs import jobs_get, jobs_list, jobs_submit
from generated.models import Focal, JobSpec, JobView, PageJobView, Training

client = Client(base_url=sys.argv[1])
spec = JobSpec(dataset_id=sys.argv[2], name="from another hand", loss=Focal(kind="focal", gamma=1.5), training=Training(max_epochs=2))
job = jobs_submit.sync(client=client, body=spec)
assert isinstance(job, JobView), job
while not job.is_terminal:
    read = jobs_get.sync(job.id, client=client, wait=10)
    assert isinstance(read, JobView), read
    job = read
page = jobs_list.sync(client=client, filter_="state = succeeded")
assert isinstance(page, PageJobView), page
assert isinstance(job.spec.loss, Focal)
assert job.id in [listed.id for listed in page.data]
print(job.state, job.spec.loss.gamma, job.metrics.additional_properties["test/average_precision"].value)
"""


@pytest.fixture(scope="module")
def generated(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the generated package in it."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(httpx.get(f"{server.url}/openapi.json", timeout=60).content)
    (folder / "config.yml").write_text(CONFIG)
    (folder / "submit.py").write_text(SCRIPT)
    told = _run(
        *("-m", "openapi_python_client", "generate", "--path", "openapi.json", "--config", "config.yml"),
        *("--output-path", PACKAGE, "--meta", "none", "--fail-on-warning"),
        folder=folder,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return folder


def test_nothing_is_left_out(generated: Path, server: Server) -> None:
    paths = httpx.get(f"{server.url}/openapi.json", timeout=60).json()["paths"]
    operations = {operation["operationId"] for item in paths.values() for operation in item.values()}

    assert {path.stem for path in (generated / PACKAGE / "api").glob("*/*.py")} - {"__init__"} == operations


def test_it_type_checks(generated: Path) -> None:
    told = _run("-m", "mypy", "--config-file=", "--cache-dir=.cache", PACKAGE, "submit.py", folder=generated)

    assert told.returncode == 0, told.stdout


def test_it_submits_a_job_and_reads_what_came_of_it(generated: Path, server: Server, dataset_id: str) -> None:
    told = _run("submit.py", server.url, dataset_id, folder=generated)

    assert told.returncode == 0, told.stderr
    state, gamma, value = told.stdout.split()
    assert (state, gamma) == ("succeeded", "1.5")
    assert 0 < float(value) <= 1


def _run(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=180)
