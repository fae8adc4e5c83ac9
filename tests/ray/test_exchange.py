"""The lines of ranks on other nodes to the process that had them started, without Ray: the first one's is the driver's pipe."""

import json
import multiprocessing
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from multiprocessing.context import SpawnProcess

import pytest

from workers.backends.ray_ranks import FIRST_SAID_ALL, Exchange
from workers.pipe import LOST, ORPHANED
from workers.processes import End, HostProcess

PATIENCE_S = 60
ORDER = b'{"kind":"cancel","job_id":"job_1"}'


@dataclass(frozen=True)
class Launcher:
    """A process with an exchange for two ranks, the driver's end of its pipe, and where to call."""

    process: SpawnProcess
    pipe: Connection
    address: tuple[str, int]
    key: bytes

    def hear(self) -> bytes:
        assert self.pipe.poll(PATIENCE_S)
        return self.pipe.recv_bytes()

    def call(self, rank: int) -> Connection:
        line = Client(self.address, authkey=self.key)
        line.send_bytes(str(rank).encode())
        return line


def launch(connection: Connection) -> None:
    """Say where ranks may call, and end when the first has said all."""
    all_said = threading.Event()
    exchange = Exchange(connection, "127.0.0.1", 2, all_said.set)
    exchange.say(json.dumps([*exchange.address, exchange.key.hex()]).encode())
    all_said.wait()


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=launch, args=(theirs,))
    process.start()
    theirs.close()
    assert ours.poll(PATIENCE_S)
    host, port, key = json.loads(ours.recv_bytes())
    yield Launcher(process, ours, (host, port), bytes.fromhex(key))
    ours.close()
    process.join()
    process.close()


def test_the_first_rank_speaks_to_the_driver_and_hears_it_whoever_calls_before(launcher: Launcher) -> None:
    launcher.pipe.send_bytes(ORDER)
    with launcher.call(1), launcher.call(0) as first:
        heard = first.recv_bytes()
        for word in (b"one", b"two", b"three" * 100_000):
            first.send_bytes(word)
        first.send_bytes(FIRST_SAID_ALL)

        assert [launcher.hear(), launcher.hear(), launcher.hear()] == [b"one", b"two", b"three" * 100_000]
    assert heard == ORDER
    launcher.process.join(PATIENCE_S)
    assert launcher.process.exitcode == 0


def test_who_does_not_know_the_key_is_sent_away_and_the_ranks_are_still_heard(launcher: Launcher) -> None:
    with pytest.raises(AuthenticationError):
        Client(launcher.address, authkey=b"a guess")

    with launcher.call(0) as first:
        first.send_bytes(b"one")

        assert launcher.hear() == b"one"


def test_a_stranger_who_says_nothing_keeps_no_rank_waiting(launcher: Launcher) -> None:
    with socket.create_connection(launcher.address), launcher.call(0) as first:
        first.send_bytes(b"one")

        assert launcher.hear() == b"one"


def test_when_the_driver_is_gone_the_launcher_ends_and_with_it_the_line_of_each_rank(launcher: Launcher) -> None:
    with launcher.call(0) as first, launcher.call(1) as second:
        first.send_bytes(b"one")
        launcher.hear()

        launcher.pipe.close()

        launcher.process.join(PATIENCE_S)
        assert launcher.process.exitcode == ORPHANED
        for line in (first, second):
            with pytest.raises((EOFError, ConnectionResetError)):
                line.recv_bytes()


def test_a_launcher_under_which_ray_broke_down_is_lost_and_has_not_crashed() -> None:
    process = multiprocessing.get_context("spawn").Process(target=sys.exit, args=(LOST,))
    process.start()
    process.join(PATIENCE_S)

    assert HostProcess(process).how_it_ended() == End(f"its process ended with exit code {LOST}", is_lost=True)
    process.close()
