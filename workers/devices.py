"""Where trainers can run on this host: GPUs as NVML counts them, else the processor."""

import os
from dataclasses import dataclass

import pynvml

from counterweight.settings import ServerSettings

MAX_PROCESSOR_SLOTS = 8


@dataclass(frozen=True)
class Slot:
    """Room for one trainer: a torch device name and the processor threads it may use."""

    device: str
    threads: int

    @property
    def takes(self) -> tuple[str, ...]:
        """The `resources.device` values of jobs that may run here."""
        return ("auto", "cpu") if self.device == "cpu" else ("auto", "cpu", "cuda")


def slots(settings: ServerSettings) -> list[Slot]:
    """The host's slots: one a GPU, or on a host without one as many single trainers as keep its cores busy."""
    cores = len(os.sched_getaffinity(0))
    gpus = _gpus(settings.devices)
    if settings.workers == 0:
        return []
    if gpus:
        count = settings.workers or len(gpus)
        return [Slot(gpus[index % len(gpus)], max(1, cores // count)) for index in range(count)]
    count = settings.workers or min(cores, MAX_PROCESSOR_SLOTS)
    return [Slot("cpu", max(1, cores // count))] * count


def _gpus(wanted: str) -> list[str]:
    if wanted == "cpu":
        return []
    if wanted != "auto":
        return [name.strip() for name in wanted.split(",")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # torch counts only these, from 0; NVML counts all that the host has.
        return [f"cuda:{index}" for index, name in enumerate(visible.split(",")) if name.strip() not in ("", "-1")]
    # NVML counts without making a CUDA context, which would cost memory on every GPU and break later forks.
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [f"cuda:{index}" for index in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()
