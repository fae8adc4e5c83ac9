"""A trainer of several ranks on a Ray cluster: Ray Train starts them, on whichever nodes have room for them, and they call back here.

To its driver it is a trainer as any: one process, one pipe, over which the first rank speaks, wherever it runs.
"""

import contextlib
import os
import secrets
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from counterweight.contracts.messages import Log, TrainerTask
from workers import pipe, rank_child
from workers.processes import THREADS

KEY_BYTES = 32
FIRST_SAID_ALL = b""
LOOK_S = 0.5
"""So often Ray Train looks whether all ranks are alive, or have ended; else it is every two seconds."""

LAST_WORDS_S = 5.0
"""So long, once a rank has failed, what the first of them said before is waited for."""

SHOWN = 300

if TYPE_CHECKING:
    from ray.train.torch import TorchTrainer

Address = tuple[str, int]


def main(connection: Connection, task_json: str) -> None:
    """Let Ray Train start a rank for each of the task's devices, once; end when the first has said all, or one has failed."""
    # Imported here and not above: Ray is imported where there are ranks to start, and nowhere else.
    import ray  # noqa: PLC0415
    from ray.train import WorkerGroupError  # noqa: PLC0415

    pipe.lead_group()
    task = TrainerTask.model_validate_json(task_json)
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = str(LOOK_S)
    ended: SimpleQueue[Exception | None] = SimpleQueue()
    try:
        # Where and with which token, Ray's own process that started the driver has told in the environment.
        ray.init(log_to_driver=False)
        host = ray.util.get_node_ip_address()
    except Exception as trouble:
        # The cluster is gone already: whatever Ray raises of that, it says nothing against the job.
        sys.stderr.write(f"Ray does not answer: {trouble}\n")
        sys.exit(pipe.LOST)
    exchange = Exchange(connection, host, len(task.rank_devices), on_all_said=lambda: ended.put(None))
    # Not as a configuration of Ray Train's, which Ray would show.
    rank = partial(be_rank, task_json, exchange.address, exchange.key)
    with TemporaryDirectory(dir=task.members[0].folder, ignore_cleanup_errors=True) as folder:
        threading.Thread(target=_fit, args=(_trainer(task, rank, folder), exchange, ended), daemon=True, name="ray-train").start()
        error = ended.get()
    if error is None:
        # Ray Train would take leave of its workers for seconds yet. They, and its controller, end with us.
        os._exit(0)
    if not isinstance(error, WorkerGroupError):
        sys.stderr.write(f"Ray Train failed: {error}\n")
        sys.exit(pipe.LOST)
    exchange.wait_for_last_words()
    for number, (place, failure) in enumerate(sorted(error.worker_failures.items()), start=rank_child.LAST_LINES):
        for member in task.members:
            message = f"rank {place} of {len(task.rank_devices)} failed: {_last_line(failure)}"
            line = Log(job_id=member.job_id, level="error", message=message, time=time.time(), number=number)
            exchange.say(line.model_dump_json().encode())
    sys.exit(1)


def _fit(trainer: "TorchTrainer", exchange: "Exchange", ended: "SimpleQueue[Exception | None]") -> None:
    """Run the ranks; whoever waits is told what went wrong, and by the first rank itself when it has said all."""
    try:
        trainer.fit()
    except Exception as error:
        # The edge of this thread.
        ended.put(error)
    else:
        exchange.wait_for_last_words()
        ended.put(RuntimeError("the ranks have ended, and the first one was not heard to its end"))


def _trainer(task: TrainerTask, rank: Callable[[], None], folder: str) -> "TorchTrainer":
    """Return what runs a rank for each of the task's devices."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig  # noqa: PLC0415
    from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415

    on_gpu = task.device != "cpu"
    takes = {"CPU": task.threads} | ({"GPU": 1} if on_gpu else {})
    # Another attempt is the queue's to make, from the checkpoint.
    failures = FailureConfig(max_failures=0, max_preemption_failures=0)
    environment = {"env_vars": THREADS}
    return TorchTrainer(
        rank,
        torch_config=TorchConfig(timeout_s=int(rank_child.PATIENCE.total_seconds())),
        scaling_config=ScalingConfig(num_workers=len(task.rank_devices), use_gpu=on_gpu, resources_per_worker=takes),
        run_config=RunConfig(name="ranks", storage_path=folder, failure_config=failures, worker_runtime_env=environment),
    )


def be_rank(task_json: str, address: Address, key: bytes) -> None:
    """Train among the others, which Ray Train has joined already; every rank ends when `main` does, to which it is connected."""
    from ray.train.torch import get_device  # noqa: PLC0415

    from workers.training.ranks import Ranks  # noqa: PLC0415

    ranks = Ranks.joined()
    task = TrainerTask.model_validate_json(task_json).model_copy(update={"device": str(get_device())})
    line = Client(address, authkey=key)
    line.send_bytes(str(ranks.rank).encode())
    if not ranks.is_first:
        pipe.listen(line, lambda _: None)
    rank_child.take_part(line, task, ranks)
    if ranks.is_first:
        line.send_bytes(FIRST_SAID_ALL)


class Exchange:
    """Where the ranks call: the first one's words go to the driver, and the driver's to it. Each rank's line is open as long as we live.

    Only who knows the key is listened to, and a stranger who calls and says nothing keeps no other waiting; what is said is bytes, and
    never unpickled.
    """

    def __init__(self, connection: Connection, host: str, ranks: int, on_all_said: Callable[[], None]) -> None:
        self._connection, self._on_all_said = connection, on_all_said
        self._speaking, self._is_over = threading.Lock(), threading.Event()
        self._lines: list[Connection] = []
        self._orders: SimpleQueue[bytes] = SimpleQueue()
        self.key = secrets.token_bytes(KEY_BYTES)
        # Without the key: the listener would wait for each caller's answer in turn.
        self._listener = Listener((host, 0), backlog=ranks)
        # An order that comes before the first rank does waits for it, while the end of the pipe ends us at once.
        pipe.listen(connection, self._orders.put)
        threading.Thread(target=self._answer, daemon=True, name="exchange").start()

    @property
    def address(self) -> Address:
        host, port = self._listener.address
        return str(host), int(port)

    def say(self, word: bytes) -> None:
        """Say something to the driver, whole."""
        with self._speaking:
            self._connection.send_bytes(word)

    def wait_for_last_words(self) -> None:
        """Wait until the first rank's line has ended, or is silent for too long."""
        self._is_over.wait(LAST_WORDS_S)

    def _answer(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                line = self._listener.accept()
                threading.Thread(target=self._take, args=(line,), daemon=True, name="caller").start()

    def _take(self, line: Connection) -> None:
        """Keep a rank's line, and carry the words if it is the first one's; hang up on anybody else."""
        try:
            deliver_challenge(line, self.key)
            answer_challenge(line, self.key)
            rank = int(line.recv_bytes())
        except (AuthenticationError, EOFError, OSError, ValueError):
            line.close()
            return
        self._lines.append(line)
        if rank == 0:
            threading.Thread(target=self._tell, args=(line,), daemon=True, name="orders").start()
            self._hear(line)

    def _hear(self, first: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while (word := first.recv_bytes()) != FIRST_SAID_ALL:
                self.say(word)
            self._on_all_said()
        self._is_over.set()

    def _tell(self, first: Connection) -> None:
        with contextlib.suppress(OSError):
            while True:
                first.send_bytes(self._orders.get())


def _last_line(error: Exception) -> str:
    """Return the end of what an error says: Ray tells tracebacks, and which actor ran where, before that."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (said or [type(error).__name__])[-1][:SHOWN]
