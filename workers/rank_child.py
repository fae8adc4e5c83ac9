"""A trainer that is several processes, started by torch's own launcher: when one of them dies all end, and the attempt with them."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from counterweight.contracts.messages import Log, TrainerTask
from workers import pipe, trainer_child

if TYPE_CHECKING:
    from workers.training.ranks import Ranks

ADDRESS = "127.0.0.1"
LOOK_S = 0.1
"""So often the launcher looks whether all are alive."""

PATIENCE = timedelta(days=1)
"""So long a process waits for another: one that has died is found by the launcher, and one that lives may wait for its agent."""

LINGER_S = 5 * LOOK_S
"""So long a process that fails stays: where another's death is the cause, the launcher sees that one first, and names it."""

LAST_LINES = 2**30
"""From here on the launcher numbers its lines of the log: beyond all that the first process may have said."""


def main_of(task: TrainerTask) -> Callable[[Connection, str], None]:
    """Return what the trainer of this task is to run: a launcher where it has several ranks."""
    return main if len(task.rank_devices) > 1 else trainer_child.main


def main(connection: Connection, task_json: str) -> None:
    """Start a process for each of the task's devices, and end as the first of them that does not succeed."""
    # Imported here and not above, as in `trainer_child`.
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs  # noqa: PLC0415
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    pipe.lead_group()
    # Before the launcher starts the server that its processes are forked from: they are then ready at once.
    multiprocessing.set_forkserver_preload(["workers.warm"])
    task = TrainerTask.model_validate_json(task_json)
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ |= {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback}
    # Ranks end when the launcher does: it alone holds this end, and they listen at the other.
    lifeline, ours = Pipe(duplex=False)
    with TemporaryDirectory(dir=task.members[0].folder) as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=len(task.rank_devices),
            run_id=task.members[0].job_id,
            # Not `c10d`, which reads pickles from whoever reaches its port.
            rdzv_backend="static",
            rdzv_endpoint=f"{ADDRESS}:{_free_port()}",
            rdzv_configs={"rank": 0},
            local_addr=ADDRESS,
            # Another attempt is the queue's to make, from the checkpoint.
            max_restarts=0,
            monitor_interval=LOOK_S,
            start_method="forkserver",
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            shutdown_timeout=1,
        )
        try:
            # As bytes: in texts the launcher puts other things for what begins with a dollar.
            elastic_launch(config, be_rank)(connection, lifeline, task_json.encode())
        except ChildFailedError as error:
            ends = {rank: failure.exitcode for rank, failure in error.failures.items()}
        else:
            return
    ours.close()
    _end_as(connection, task, ends)


def be_rank(connection: Connection, lifeline: Connection, task_json: bytes) -> None:
    """Train among the others; the first rank alone speaks with the agent."""
    import torch  # noqa: PLC0415
    import torch.distributed as dist  # noqa: PLC0415

    from workers.training.ranks import Ranks  # noqa: PLC0415

    pipe.settle()
    pipe.listen(lifeline, lambda _: None)
    task = TrainerTask.model_validate_json(task_json)
    device = torch.device(task.rank_devices[int(os.environ["RANK"])])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    ranks = Ranks.joined()
    if not ranks.is_first:
        connection.close()
    take_part(connection, task.model_copy(update={"device": str(device)}), ranks)
    dist.destroy_process_group()


def take_part(connection: Connection, task: TrainerTask, ranks: "Ranks") -> None:
    """Train a rank's share; the first rank speaks and listens at this end of the pipe, the others have no use for it."""
    from workers.training.trainer import run  # noqa: PLC0415

    try:
        if ranks.is_first:
            trainer_child.train(connection, task, ranks)
        else:
            for _ in run(task, lambda _: False, ranks=ranks):
                pass
    except Exception:
        time.sleep(LINGER_S)
        raise


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((ADDRESS, 0))
        return int(listener.getsockname()[1])


def _end_as(connection: Connection, task: TrainerTask, ends: Mapping[int, int]) -> None:
    """Say which ranks ended how, and end as one that was killed, if one was: the others then failed of that."""
    for number, (rank, code) in enumerate(sorted(ends.items()), start=LAST_LINES):
        how = f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
        message = f"rank {rank} of {len(task.rank_devices)} {how}"
        for member in task.members:
            line = Log(job_id=member.job_id, level="error", message=message, time=time.time(), number=number)
            connection.send_bytes(line.model_dump_json().encode())
    code = min(ends.values())
    if code == -signal.SIGKILL:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(1)
