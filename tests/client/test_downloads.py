"""Downloads: whole, checked, and gone on with after a break."""

import hashlib
import json
from contextlib import closing
from pathlib import Path

import pytest

from counterweight._downloads import download
from counterweight._transport import Transport
from counterweight.client import Client
from counterweight.contracts.artifacts import ArtifactView
from counterweight.errors import DigestMismatch, NotFound, ServerUnreachable
from tests.client.conftest import CommandLine
from tests.client.scripted import Answer, scripted

CONTENT = "0123456789" * 10
ARTIFACT = ArtifactView(
    name="a.bin",
    bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT.encode()).hexdigest(),
    media_type="application/octet-stream",
    links={"self": "/api/v1/jobs/job_1/artifacts/a.bin"},
)
BROKEN = Answer(200, CONTENT[:30], {"Content-Length": str(len(CONTENT)), "Connection": "close"})
"""An answer that breaks off."""


def fetch(url: str, target: Path) -> Path:
    with closing(Transport(url, None)) as transport:
        return download(transport, ARTIFACT, target, pause=lambda _seconds: None)


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path) -> None:
    rest = Answer(206, CONTENT[30:], {"Content-Range": "bytes 30-99/100"})

    with scripted([BROKEN, Answer(0), rest]) as server:
        path = fetch(server.url, tmp_path / "a.bin")

    assert path.read_text() == CONTENT
    assert server.asked[2].headers["Range"] == "bytes=30-"
    assert server.asked[2].headers["If-Range"] == f'"{ARTIFACT.sha256}"'
    assert list(tmp_path.iterdir()) == [path]


def test_what_an_earlier_call_left_is_gone_on_with(tmp_path: Path) -> None:
    with scripted([BROKEN, *[Answer(0)] * 5]) as server, pytest.raises(ServerUnreachable):
        fetch(server.url, tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()

    with scripted([Answer(206, CONTENT[30:])]) as server:
        fetch(server.url, tmp_path / "a.bin")

    assert (tmp_path / "a.bin").read_text() == CONTENT


def test_other_bytes_than_the_record_has_are_thrown_away(tmp_path: Path) -> None:
    with scripted([Answer(200, "x" * len(CONTENT))]) as server, pytest.raises(DigestMismatch, match="download it again"):
        fetch(server.url, tmp_path / "a.bin")

    assert list(tmp_path.iterdir()) == []


def test_a_server_that_answers_a_part_with_the_whole_is_understood(tmp_path: Path) -> None:
    with scripted([BROKEN, Answer(200, CONTENT)]) as server:
        assert fetch(server.url, tmp_path / "a.bin").read_text() == CONTENT


def test_files_of_a_real_job_come_as_they_are_on_record(client: Client, cli: CommandLine, dataset_id: str) -> None:
    job = client.jobs.wait(client.jobs.submit(dataset_id=dataset_id, training={"max_epochs": 1}).id, timeout_s=120)
    listed = json.loads(cli.run("jobs", "artifacts", job.id, "-o", "json").stdout)

    downloaded = cli.run("jobs", "download", job.id, "--to", "results/first")

    assert downloaded.returncode == 0, downloaded.stderr
    assert {"model.json", "model.safetensors"} <= {one["name"] for one in listed}
    for one in listed:
        assert hashlib.sha256((cli.folder / "results/first" / one["name"]).read_bytes()).hexdigest() == one["sha256"]
    assert cli.run("jobs", "artifacts", job.id, "--quiet").stdout.split() == [one["name"] for one in listed]
    quiet = cli.run("jobs", "download", job.id, "model.json", "--quiet")
    assert (quiet.returncode, quiet.stdout, (cli.folder / "model.json").exists()) == (0, "", True)
    assert cli.run("jobs", "download", job.id, "none.bin").returncode == 4
    (cli.folder / "file").touch()
    refused = cli.run("jobs", "download", job.id, "--to", "file/folder")
    assert refused.returncode == 2
    assert "--to" in refused.stderr
    with pytest.raises(NotFound, match=r"model\.json"):
        client.jobs.download(job.id, "none.bin")
