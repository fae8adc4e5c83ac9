"""A trainer of several ranks on a Ray cluster: Ray Train starts them, on whichever nodes have room for them, and they call back here.

To its driver it is a trainer as any: one process, one pipe, over which the first rank speaks, wherever it runs.
"""

import contextlib
import secrets
import sys
import threading
import time
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from counterweight.contracts.messages import Log, TrainerTask
from workers import pipe, rank_child

KEY_BYTES = 32
FIRST_SAID_ALL = b""
LAST_WORDS_S = 5.0
"""So long, once the ranks have failed, what the first of them said before is waited for."""

Address = tuple[str, int]


def main(connection: Connection, task_json: str) -> None:
    """Let Ray Train start a rank for each of the task's devices, once, and end as they do."""
    # Imported here and not above: Ray is imported where there are ranks to start, and nowhere else.
    import ray  # noqa: PLC0415
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError  # noqa: PLC0415
    from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415

    pipe.lead_group()
    task = TrainerTask.model_validate_json(task_json)
    on_gpu = task.device != "cpu"
    # Where and with which token, Ray's own process that started the driver has told in the environment.
    ray.init(log_to_driver=False)
    exchange = Exchange(connection, ray.util.get_node_ip_address(), len(task.rank_devices))
    with TemporaryDirectory(dir=task.members[0].folder) as folder:
        trainer = TorchTrainer(
            # Not as a configuration, which Ray would show.
            partial(be_rank, task_json, exchange.address, exchange.key),
            torch_config=TorchConfig(timeout_s=int(rank_child.PATIENCE.total_seconds())),
            scaling_config=ScalingConfig(
                num_workers=len(task.rank_devices),
                use_gpu=on_gpu,
                resources_per_worker={"CPU": task.threads, **({"GPU": 1} if on_gpu else {})},
            ),
            run_config=RunConfig(
                name="ranks",
                storage_path=folder,
                # Another attempt is the queue's to make, from the checkpoint.
                failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
                worker_runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE"}},
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            failures: dict[int, Exception] = error.worker_failures if isinstance(error, WorkerGroupError) else {}
            why = [f"rank {rank} of {len(task.rank_devices)} failed: {last_line(failure)}" for rank, failure in sorted(failures.items())]
            why = why or [last_line(error)]
        else:
            exchange.first_said_all.wait()
            return
    exchange.first_said_all.wait(LAST_WORDS_S)
    for number, message in enumerate(why, start=rank_child.LAST_LINES):
        for member in task.members:
            line = Log(job_id=member.job_id, level="error", message=message, time=time.time(), number=number)
            exchange.say(line.model_dump_json().encode())
    sys.exit(1)


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

    Only who knows the key is listened to; what is said is bytes, and never unpickled.
    """

    def __init__(self, connection: Connection, host: str, ranks: int) -> None:
        self._connection, self._ranks, self._speaking = connection, ranks, threading.Lock()
        self._lines: list[Connection] = []
        self._orders: SimpleQueue[bytes] = SimpleQueue()
        self.key, self.first_said_all = secrets.token_bytes(KEY_BYTES), threading.Event()
        self._listener = Listener((host, 0), backlog=ranks, authkey=self.key)
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

    def _answer(self) -> None:
        while len(self._lines) < self._ranks:
            with contextlib.suppress(AuthenticationError, EOFError, OSError):
                line = self._listener.accept()
                self._lines.append(line)
                if int(line.recv_bytes()) == 0:
                    for carry in (self._hear, self._tell):
                        threading.Thread(target=carry, args=(line,), daemon=True, name=carry.__name__).start()

    def _hear(self, first: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while (word := first.recv_bytes()) != FIRST_SAID_ALL:
                self.say(word)
        self.first_said_all.set()

    def _tell(self, first: Connection) -> None:
        with contextlib.suppress(OSError):
            while True:
                first.send_bytes(self._orders.get())


def last_line(error: Exception) -> str:
    """Return what kind of error it is, and the end of what it says: Ray tells tracebacks, and where which actor ran, before that."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {said[-1] if said else ''}"
