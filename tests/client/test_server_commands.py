"""Commands that become the server's processes: serve, migrate, the first key, and a client without the server's extra."""

import os
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path

import pytest

from service.persistence import locks
from service.persistence.database import Database
from tests.client.conftest import BINARY, CommandLine
from tests.factories import make_dataset
from tests.server import Server


@pytest.fixture
def apart(tmp_path: Path) -> CommandLine:
    """The command line with no server yet."""
    return CommandLine("http://127.0.0.1:9", tmp_path)


def test_serve_becomes_the_service(apart: CommandLine, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [BINARY, "serve", "--home", "home", "--port", "0", "--workers", "0"],
        env=apart.environment(),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.stderr.readline()  # The first word of one of its parts: it is under way.
    name = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")

    process.terminate()
    process.communicate(timeout=40)

    assert "listens on http://127.0.0.1:" in first
    assert str(tmp_path / "home") in first
    assert name[1:4] == ["-P", "-m", "service"]
    assert process.returncode == 0


def test_migrate_makes_the_database(apart: CommandLine, tmp_path: Path) -> None:
    ended = apart.run("migrate", "--home", "home")

    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "home" / "counterweight.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("hello", "must begin with postgresql+psycopg://"),
        ("mysql://me:se%2Fcret@db/record", "must begin with postgresql+psycopg://"),
        ("postgresql+psycopg://me:secret@db:port/record", "its port is not a number"),
        ("postgresql+psycopg://me:se/cret@db/record", "%2F"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_database_that_cannot_be_is_refused_without_its_password(apart: CommandLine, url: str, words: str) -> None:
    refused = apart.run("migrate", database_url=url)

    assert refused.returncode == 2
    assert "COUNTERWEIGHT_DATABASE_URL" in refused.stderr
    assert words in refused.stderr
    assert "secret" not in refused.stderr.replace("user:secret@host", "")
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", ["worker", "migrate"])
def test_a_database_that_does_not_answer_is_told_in_one_line(apart: CommandLine, command: str) -> None:
    ended = apart.run(command, database_url="postgresql+psycopg://me:secret@127.0.0.1:9/record")

    assert ended.returncode == 1
    assert "cannot reach postgresql+psycopg://me:***@127.0.0.1:9/record: connection failed" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_an_api_without_its_database_says_so_at_each_try(apart: CommandLine) -> None:
    environment = apart.environment(database_url="postgresql+psycopg://127.0.0.1:9/record", bind="127.0.0.1:0", workers="0")
    process = subprocess.Popen(
        [BINARY, "serve"], env=environment, cwd=apart.folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None

    told = [process.stderr.readline() for _ in range(3)]
    process.terminate()
    process.communicate(timeout=40)

    assert "cannot reach postgresql+psycopg://127.0.0.1:9/record" in told[1]
    assert "starting it again" in told[2]
    assert process.returncode == 0


def test_a_worker_without_a_record_is_told_what_one_on_this_and_on_another_host_needs(apart: CommandLine) -> None:
    ended = apart.run("worker", "--home", "home")

    assert ended.returncode == 78
    assert f"no record at {apart.folder}/home/counterweight.db" in ended.stderr
    assert "COUNTERWEIGHT_DATABASE_URL=postgresql+psycopg://" in ended.stderr
    assert "COUNTERWEIGHT_FILES_URL" in ended.stderr
    assert "SQLite serves one host only" in ended.stderr


def test_a_worker_with_other_files_than_the_services_takes_no_work(apart: CommandLine, database_url: str, tmp_path: Path) -> None:
    with closing(Database(database_url)) as database, database.write() as session:
        dataset = make_dataset(session).source_path

    ended = apart.run("worker", "--home", "home", database_url=database_url, files_url=f"file://{tmp_path}/elsewhere")

    assert ended.returncode == 78
    assert f"the record names the file {dataset}, and it is not in {tmp_path}/elsewhere" in ended.stderr


def test_a_worker_that_waits_ends_with_its_supervisor(apart: CommandLine, tmp_path: Path) -> None:
    with closing(locks.hold(tmp_path / "home" / "agent.lock") or pytest.fail("the home is in use")):
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "workers", "--supervised"],
            env=apart.environment(home=str(tmp_path / "home")),
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        told = worker.communicate(timeout=60)[1]  # Closes its standard input, as the kernel does when a supervisor is gone.

    assert (worker.returncode, told) == (1, "")


@pytest.mark.parametrize("command", ["serve", "worker", "migrate"])
def test_a_home_that_cannot_be_is_told_in_one_line(apart: CommandLine, command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    ended = apart.run(command, "--home", "file", bind="127.0.0.1:0")

    assert ended.returncode == 78
    assert f"{tmp_path}/file" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_first_key_is_made_before_a_server_opens_to_others(apart: CommandLine, tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = apart.run("keys", "create", "ops", "--scope", "admin", "--offline", home=str(home))
    key = made.stdout.strip()

    with Server(home, workers="0") as server:
        cli = CommandLine(server.url, tmp_path)
        without = cli.run("keys", "list")
        second = cli.run("keys", "create", "ci", "--quiet", api_key=key)
        revoked = cli.run("keys", "revoke", second.stdout.strip(), api_key=key)
        listed = cli.run("keys", "list", "-o", "jsonl", api_key=key)

    assert without.returncode == 4
    assert "COUNTERWEIGHT_API_KEY" in without.stderr
    assert (second.returncode, revoked.returncode) == (0, 0), second.stderr + revoked.stderr
    assert listed.stdout.count('"object"') == 2
    assert key not in listed.stdout


def test_a_key_that_cannot_be_made_is_refused_in_words(apart: CommandLine, tmp_path: Path) -> None:
    refused = apart.run("keys", "create", "ops", "--expires-at", "tomorrow", "--offline", home=str(tmp_path / "home"))

    assert refused.returncode == 2
    assert "expires_at" in refused.stderr


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "demo"])
def test_without_the_servers_extra_the_way_to_it_is_told(command: str, tmp_path: Path) -> None:
    # Of the installed packages only those of the bare client can be found.
    packages = Path(sysconfig.get_path("purelib"))
    pydantic = ["annotated_types", "pydantic", "pydantic_core", "typing_extensions.py", "typing_inspection"]
    bare = [*pydantic, "annotated_doc", "rich", "shellingham", "typer"]
    for name in bare:
        (tmp_path / name).symlink_to(packages / name)
    root = Path(__file__).parents[2]
    script = f"import sys; sys.path[:0] = [{str(root)!r}, {str(tmp_path)!r}]; from counterweight.cli import main; main()"

    ended = subprocess.run(
        [sys.executable, "-S", "-P", "-c", script, command], capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ)
    )

    assert ended.returncode == 2
    assert "pip install 'counterweight[server]'" in ended.stderr
