"""Children forked from a server that has torch imported: for tests of processes, and of what a process can be short of."""

import json
import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workers.backends.local import PRELOAD


def results(folder: Path, work: Callable[..., Any], *arguments: tuple[Any, ...], timeout_s: float = 120) -> list[Any]:
    """Call `work` in a child for each of the arguments, all at once; return what each call returned, by way of JSON."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    files = [folder / f"child{number}.json" for number in range(len(arguments))]
    children = [context.Process(target=_write, args=(file, work, given)) for file, given in zip(files, arguments, strict=True)]
    for child in children:
        child.start()
    for child in children:
        child.join(timeout_s)
        child.kill()
    assert [child.exitcode for child in children] == [0] * len(children)
    return [json.loads(file.read_text()) for file in files]


def _write(file: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    file.write_text(json.dumps(work(*arguments)))


def allow_memory(more_bytes: int | None) -> None:
    """Let this process take no more than so much address space beside what it has; None lifts that."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (hard if more_bytes is None else taken + more_bytes, hard))
