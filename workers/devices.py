"""Where trainers can run on this host: GPUs as NVML counts them, else the processor."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pynvml

from counterweight.settings import ServerSettings

MAX_PROCESSOR_SLOTS = 8
CLUSTER_SLOTS = 4
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Slot:
    """Room for one trainer: a torch device name, the processor threads it may use, and the memory; None where that is not known."""

    device: str
    threads: int
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None

    @property
    def takes(self) -> tuple[str, ...]:
        """The `resources.device` values of jobs that may run here."""
        return ("auto", "cpu") if self.device == "cpu" else ("auto", "cpu", "cuda")

    def device_for(self, wanted: str) -> str:
        """Return where a job that asks for `wanted` is trained in this slot."""
        return "cpu" if wanted == "cpu" else self.device

    def memory_bytes_of(self, device: str) -> int | None:
        return self.memory_bytes if device == "cpu" else self.gpu_memory_bytes


def slots(settings: ServerSettings) -> list[Slot]:
    """The host's slots: one a GPU, or on a host without one as many single trainers as keep its cores busy."""
    cores = len(os.sched_getaffinity(0))
    gpus = _gpus(settings.devices)
    if settings.workers == 0:
        return []
    count = settings.workers or len(gpus) or min(cores, MAX_PROCESSOR_SLOTS)
    threads, memory = max(1, cores // count), _memory_bytes() // count
    if gpus:
        on_gpu = _smallest_gpu_bytes()
        shared = None if on_gpu is None else on_gpu // math.ceil(count / len(gpus))
        return [Slot(gpus[index % len(gpus)], threads, memory, shared) for index in range(count)]
    return [Slot("cpu", threads, memory)] * count


def cluster_slots(settings: ServerSettings) -> list[Slot]:
    """Room for trainers on a cluster, whose memory we do not know: on a GPU each if devices other than the processor were asked for."""
    count = CLUSTER_SLOTS if settings.workers is None else settings.workers
    on_cpu = settings.devices in ("auto", "cpu")
    return [Slot("cpu" if on_cpu else f"cuda:{index}", settings.ray_cpus) for index in range(count)]


def apart(slots: Sequence[Slot], among: Sequence[int]) -> list[int]:
    """Return those among the slots that one job can have at once: of those that share a GPU, the first."""
    first = {slots[index].device: index for index in reversed(among)}
    return [index for index in among if slots[index].device == "cpu" or first[slots[index].device] == index]


def _memory_bytes() -> int:
    """Return how much memory this host, or the container that we are in, has."""
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = CONTAINER_LIMIT.read_text().strip()
    except OSError:
        return host
    return min(host, int(limit)) if limit.isdecimal() else host


def _gpus(wanted: str) -> list[str]:
    if wanted == "cpu":
        return []
    if wanted != "auto":
        return [name.strip() for name in wanted.split(",")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # torch counts only these, from 0; NVML counts all that the host has.
        return [f"cuda:{index}" for index, name in enumerate(visible.split(",")) if name.strip() not in ("", "-1")]
    return [f"cuda:{index}" for index in range(len(_gpu_bytes()))]


def _smallest_gpu_bytes() -> int | None:
    """Return the memory of the host's smallest GPU: which of them torch means by a number, the environment may have changed."""
    return min(_gpu_bytes(), default=None)


def _gpu_bytes() -> list[int]:
    """Return the memory of each of the host's GPUs; empty where there is none."""
    # NVML counts without making a CUDA context, which would cost memory on every GPU and break later forks.
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles]
    finally:
        pynvml.nvmlShutdown()
