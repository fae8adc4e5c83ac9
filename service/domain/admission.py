"""Who goes next: the order of projects and of their jobs, how long a job that failed waits, and how long one in line has to wait."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from counterweight.contracts.jobs import Limits, Resources

AGEING_S = 900.0
"""So many seconds of waiting count as much as one point of priority: from the lowest to the highest it takes 25 hours."""

FIRST_BACK_OFF = timedelta(seconds=0.5)
"""Short: what was killed once, by a person or for memory, mostly succeeds at once."""

LONGEST_BACK_OFF = timedelta(minutes=5)

GB = 10**9


@dataclass(frozen=True)
class Slot:
    """Room for one trainer on a worker that takes work; `gpu_bytes` is None on a processor, and where a GPU does not tell."""

    device: str
    gpu_bytes: int | None

    @property
    def has_gpu(self) -> bool:
        return self.device != "cpu"

    def fits(self, device: str, min_gpu_memory_gb: float | None) -> bool:
        """Whether a job that asks for this device, and a GPU of at least so many GB, can run here."""
        if min_gpu_memory_gb is None:
            return self.has_gpu or device != "cuda"
        return self.has_gpu and (self.gpu_bytes or 0) >= min_gpu_memory_gb * GB


def rooms(slots: Iterable[Slot]) -> int:
    """Return how many of a worker's slots one job can have at once: of those that share a GPU, one."""
    devices = [slot.device for slot in slots]
    return devices.count("cpu") + len({*devices} - {"cpu"})


@dataclass(frozen=True)
class Load:
    """What a project has in hand, how much of it may be, and what it waits for.

    `slots` are those that its jobs take: a cohort takes one, however many jobs train in it. `first_turn` is the turn of the first job in
    line, None where nothing waits.
    """

    project_id: str
    running: int
    slots: int
    gpus: int
    max_running_jobs: int | None
    max_running_gpus: int | None
    last_start: datetime | None
    first_turn: float | None

    @property
    def jobs_left(self) -> int | None:
        """How many more jobs may run; None without a limit."""
        return None if self.max_running_jobs is None else max(0, self.max_running_jobs - self.running)

    @property
    def gpus_left(self) -> int | None:
        """How many more GPUs may be taken; None without a limit."""
        return None if self.max_running_gpus is None else max(0, self.max_running_gpus - self.gpus)

    def limits_reached(self, gpus: int) -> list[str]:
        """Say which limits keep a further job from starting that takes so many GPUs."""
        reached = []
        if self.jobs_left == 0:
            reached.append(f"project limit {self.max_running_jobs} reached: so many of the project's jobs may run at once")
        if self.gpus_left is not None and self.gpus_left < gpus:
            reached.append(f"project GPU limit {self.max_running_gpus} reached: so many GPUs may the project's jobs take at once")
        return reached


@dataclass(frozen=True)
class Pace:
    """What work took of late, in seconds of a slot: a job its share of its cohort's time, and a trainer with all its jobs."""

    job_s: float
    trainer_s: float


def device_of(resources: Resources) -> str:
    """Return the device that a job asks for: one that asks for several GPUs is not content with processors, unless it says so."""
    return "cuda" if resources.gpus > 1 and resources.device == "auto" else resources.device


def turn(created_at: datetime, priority: int) -> float:
    """Return a job's turn: of the jobs of a project the one with the smallest goes first.

    It is when the job was made, in Unix seconds, moved forward by its priority. Each second of waiting counts for all jobs alike, so
    the order of two never changes while they wait: ageing costs nothing, and an index holds the order.
    """
    return created_at.timestamp() - priority * AGEING_S


def in_turn(loads: Iterable[Load]) -> list[Load]:
    """Return the projects with waiting jobs, who is to be served first in front.

    Fair share: whose jobs take the fewest slots; of these, who was served longest ago.
    """
    return sorted((load for load in loads if load.first_turn is not None), key=_share)


def _share(load: Load) -> tuple[int, float, float, str]:
    served = 0.0 if load.last_start is None else load.last_start.timestamp()
    return load.slots, served, load.first_turn or 0.0, load.project_id


def ahead(own: Load, place: int, others: Collection[tuple[Load, int]]) -> int:
    """Return how many jobs go before the one that `place` jobs of its own project go before.

    `others` are the other projects, each with the jobs it has waiting. One slot each in turn: another is served before ours as long as
    it has fewer slots than ours will have by then. With as many, whoever has them from before was served longest ago.
    """
    before = place
    for other, waiting in others:
        if other.first_turn is not None:
            is_first = (-other.slots, *_share(other)[1:]) < (-own.slots, *_share(own)[1:])
            before += min(waiting, max(0, own.slots + place - other.slots + is_first))
    return before


def eta_s(ahead: int, trainers: int, slots: int, pace: Pace) -> float:
    """Return in about how many seconds a job starts that `ahead` others go before, when `trainers` of so many slots are taken.

    Of s slots taken at any time by work that takes t, the next is free in t / (s + 1); from then on they take in jobs at their pace.
    """
    free = max(0, slots - trainers)
    if ahead < free:
        return 0.0
    return (ahead - free) * pace.job_s / slots + pace.trainer_s / (slots + 1)


def pending_until(limits: Limits, queued_at: datetime) -> datetime | None:
    """Return when a job that waits since then has waited too long; None where it may wait for ever."""
    return None if limits.max_pending_s is None else queued_at + timedelta(seconds=limits.max_pending_s)


def back_off(failures: int) -> timedelta:
    """Return how long a job waits after it failed so many times in a row: twice as long each time, up to a bound."""
    if failures < 1:
        return timedelta()
    wait: timedelta = FIRST_BACK_OFF * 2 ** min(failures - 1, 30)
    return min(wait, LONGEST_BACK_OFF)
