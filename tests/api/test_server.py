"""The API as a process: its socket, its start, its end, and what only a real connection shows."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from service.api.sockets import bind
from service.persistence import schema
from service.persistence.database import Database
from service.persistence.files import Files
from tests.api.conftest import Process, until
from tests.factories import make_job

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
HEAVY = ("torch", "duckdb", "pandas", "numpy", "pyarrow", "scipy", "sklearn", "ray")
UPLOAD_HEAD = b"POST /api/v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"


def send(process: Process, raw: bytes) -> bytes:
    """Send bytes as they are; return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", process.port), timeout=10) as connection:
        connection.sendall(raw)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""]).encode()


def test_an_accepted_connection_does_not_delay_small_answers() -> None:
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()) as _client:
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_an_address_in_use_is_an_error() -> None:
    with bind("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", first.getsockname()[1])


def test_ipv6_can_be_bound() -> None:
    with bind("::1", 0) as listener:
        assert listener.family == socket.AF_INET6


@SQLITE
def test_it_ends_when_its_supervisor_is_gone(process: Process) -> None:
    assert process.process.stdin is not None
    process.process.stdin.close()

    assert process.process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("database_url", "number"),
    [("sqlite", signal.SIGINT), ("sqlite", signal.SIGTERM), ("postgresql", signal.SIGTERM)],
    indirect=["database_url"],
)
def test_it_ends_at_once_although_clients_wait(process: Process, database: Database, number: signal.Signals) -> None:
    with database.write() as session:
        job = make_job(session)
    with socket.create_connection(("127.0.0.1", process.port), timeout=20) as waiting:
        waiting.sendall(get(f"/api/v1/jobs/{job.id}?wait=60&since_version={job.version}"))
        for _ in range(10):  # What was sent before is read before.
            process.client.get("/readyz")
        started = time.monotonic()
        process.process.send_signal(number)
        answer = waiting.recv(100)
    status = process.process.wait(timeout=20)

    assert (status, answer[:15]) == (0, b"HTTP/1.1 200 OK")
    assert time.monotonic() - started < 5  # Two seconds when the machine has nothing else to do.


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_without_its_schema_it_says_what_to_do(tmp_path: Path, database: Database, database_url: str) -> None:
    schema.downgrade(database, "base")
    with bind("127.0.0.1", 0) as listener:
        command = [sys.executable, "-P", "-m", "service.api", "--fd", str(listener.fileno())]
        environment = {"COUNTERWEIGHT_HOME": str(tmp_path), "COUNTERWEIGHT_DATABASE_URL": database_url}
        ended = subprocess.run(command, pass_fds=[listener.fileno()], env=environment, capture_output=True, stdin=subprocess.DEVNULL)

    assert ended.returncode == 78
    assert b"counterweight migrate" in ended.stderr
    assert b"Traceback" not in ended.stderr


@SQLITE
def test_it_does_not_start_open_to_other_machines(tmp_path: Path, database_url: str) -> None:
    process = Process(tmp_path, database_url, COUNTERWEIGHT_BIND="0.0.0.0:8321")

    assert process.process.wait(timeout=20) == 78
    assert "COUNTERWEIGHT_BOOTSTRAP_KEY" in process.log
    process.end()


@SQLITE
def test_the_bootstrap_key_opens_it_to_other_machines(tmp_path: Path, database_url: str) -> None:
    process = Process(tmp_path, database_url, COUNTERWEIGHT_BIND="0.0.0.0:8321", COUNTERWEIGHT_BOOTSTRAP_KEY="b" * 40).wait_until_ready()

    statuses = [
        process.client.get("/api/v1/jobs", headers=headers).status_code for headers in ({}, {"Authorization": f"Bearer {'b' * 40}"})
    ]

    assert statuses == [401, 200]
    assert "b" * 40 not in process.log
    process.end()


def test_it_stays_small(server: Process) -> None:
    """Idle, after answering: torch and its kin are only in workers."""
    server.client.get("/openapi.json")
    server.client.get("/api/v1/jobs")

    assert psutil.Process(server.process.pid).memory_info().rss < 150e6


def test_it_imports_nothing_heavy() -> None:
    script = f"import sys, service.api.server; print([name for name in {HEAVY!r} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@SQLITE
def test_each_line_of_the_log_is_one_json_object_with_the_request(tmp_path: Path, database_url: str) -> None:
    process = Process(tmp_path, database_url, COUNTERWEIGHT_LOG_FORMAT="json").wait_until_ready()
    process.client.get("/api/v1/%0aforged%1b[31m", headers={"X-Request-Id": "mine-7"})
    process.end()

    lines = [json.loads(line) for line in process.log.splitlines()]

    assert next(line["message"] for line in lines if "forged" in line["message"]).startswith("mine-7 GET ")


def test_a_path_cannot_forge_a_line_of_the_log(server: Process) -> None:
    server.client.get("/api/v1/%0aforged%1b[31m")

    assert not re.search("^forged|\x1b", server.log, re.MULTILINE)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/../../etc/passwd",
        "/api/v1/jobs/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/%252e%252e/etc/passwd",
        "//proc/self/root",
        "/api/v1/jobs;a=b",
        "/api/v1/jobs/%c0%ae%c0%ae",
        "/api/v1/jobs/%00",
        "/" + "a" * 4096,
        "/api/v1/datasets/file:%2f%2f%2fetc%2fpasswd",
    ],
)
def test_strange_paths_are_not_found(server: Process, path: str) -> None:
    answer = send(server, get(path))

    assert b" 404 " in answer.split(b"\r\n")[0]
    assert b'"code":"not_found"' in answer


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000000\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=range(8),
)
def test_broken_requests_are_400_and_the_next_one_is_served(server: Process, raw: bytes) -> None:
    assert b" 400 " in send(server, raw).split(b"\r\n")[0]
    assert server.client.get("/healthz").status_code == 200


def test_ten_thousand_headers_are_refused(server: Process) -> None:
    answer = send(server, get("/healthz", *["X-A: b"] * 10_000))

    assert b" 431 " in answer.split(b"\r\n")[0]


def test_an_upload_that_breaks_off_leaves_nothing(server: Process) -> None:
    files = Files(server.home / "files")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(UPLOAD_HEAD + b"Content-Length: 3000000\r\n\r\n" + b"x" * 2_000_000)
        until(lambda: any(path.is_file() and path.stat().st_size for path in files.folder.rglob("*")))

    until(lambda: not any(path.is_file() for path in files.folder.rglob("*")))
    assert server.client.get("/api/v1/datasets").json()["data"] == []
    assert "Traceback" not in server.log


def test_a_large_upload_takes_no_memory(server: Process, tmp_path: Path) -> None:
    running = psutil.Process(server.process.pid)
    server.client.get("/api/v1/datasets")
    before, size = running.memory_info().rss, 200_000_000
    source = tmp_path / "large.csv"
    with source.open("wb") as file:
        file.truncate(size)

    with source.open("rb") as file:
        answer = server.client.post("/api/v1/datasets", files={"file": ("large.csv", file)})

    assert (answer.status_code, answer.json()["bytes"]) == (202, size)
    assert running.memory_info().rss - before < 50e6


def test_a_client_that_may_continue_is_told_so(server: Process) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(UPLOAD_HEAD + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        first = connection.recv(100)
        connection.sendall(b"a\n1\n")
        second = connection.recv(1000)

    assert first.startswith(b"HTTP/1.1 100 ")
    assert second.startswith(b"HTTP/1.1 202 ")


def test_small_answers_are_not_delayed(server: Process) -> None:
    """Forty milliseconds each would show: the fastest of many is far below."""

    def ask() -> float:
        started = time.perf_counter()
        server.client.get("/healthz")
        return time.perf_counter() - started

    assert min(ask() for _ in range(30)) < 0.02


def test_two_processes_share_one_record(process: Process, tmp_path: Path, database_url: str) -> None:
    (tmp_path / "other").mkdir()
    environment = {"COUNTERWEIGHT_FILES_URL": f"file://{tmp_path}/files"}
    other = Process(tmp_path / "other", database_url, **environment).wait_until_ready()

    made = process.client.post("/api/v1/datasets", content=b"a\n1\n", headers={"Content-Type": "text/csv"}).json()

    assert other.client.get(f"/api/v1/datasets/{made['id']}").json() == made
    other.end()
