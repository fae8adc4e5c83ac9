"""The line: where queued jobs stand in it, about when they start, and what keeps them waiting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from math import inf
from statistics import fmean
from typing import Any

from sqlalchemy import Select, bindparam, case, func, select, tuple_
from sqlalchemy.orm import Session

from counterweight.contracts.jobs import QueueView, Resolved, ResolvedSpec
from counterweight.contracts.queue import QueuedJob, QueuePage
from service.domain import admission
from service.domain.admission import GB, Load, Pace, Slot, rooms
from service.domain.cursors import cursor_after
from service.domain.errors import Invalid
from service.persistence.admission import MAY_START, limits, loads, on_time
from service.persistence.tables import IS_HELD, IS_QUEUED, Agent, Job

NO_WORKER = "no worker is connected; start one with `counterweight worker`, or the server without `--workers 0`"
NO_GPU = "no connected worker has a GPU, and the job asks for one; start one on a host that has, or leave the device `auto`"
ALL_DRAINING = "every connected worker is draining and takes no new work; start another, or that one again"

WORKER_SILENT = timedelta(minutes=2)

MANY = 2**31 - 1
"""More slots than any host has."""

REMEMBERED = 30
"""So many of the jobs that ended last tell how long the next will take."""


@dataclass(frozen=True)
class Wish:
    """What a job in line, or one that may come to be, asks for; `own` are those of its project that go before it."""

    project_id: str
    device: str
    min_gpu_memory_gb: float | None
    own: int
    gpus: int = 1
    not_before: datetime | None = None
    reason: str | None = None


class Line:
    """All that waits and all that could take it, as of now."""

    def __init__(self, session: Session, now: datetime) -> None:
        self._session, self._now = session, now
        workers = session.execute(_LIVING, {"since": now - WORKER_SILENT}).all()
        self.has_workers = bool(workers)
        working = [
            ([Slot(slot.device, slot.gpu_memory_bytes) for slot in slots], blocked_by)
            for slots, draining_at, blocked_by in workers
            if draining_at is None
        ]
        self.hosts = [host for host, blocked_by in working if blocked_by is None]
        self._blocked = [(host, blocked_by) for host, blocked_by in working if blocked_by is not None]
        self.slots = [slot for host in self.hosts for slot in host]
        self.loads = {load.project_id: load for load in loads(session)}
        self.can_run = self._can_run()

    def place(self, wish: Wish) -> QueueView:
        """Return where a job stands."""
        own = self.loads[wish.project_id]
        of_hosts = [[slot for slot in host if slot.fits(wish.device, wish.min_gpu_memory_gb)] for host in self.hosts]
        fitting = [slot for host in of_hosts if rooms(host) >= wish.gpus for slot in host]
        rivals = [load for load in self.loads.values() if load is not own and load.first_turn is not None]
        others = [(load, self.waiting.get(load.project_id, 0)) for load in rivals]
        ahead = admission.ahead(own, wish.own, others)
        on_gpu = wish.device != "cpu" and bool(fitting) and all(slot.has_gpu for slot in fitting)
        gpus = wish.gpus if on_gpu else 0
        blocked_by = [self._misfit(wish, max(map(rooms, of_hosts), default=0))] if not fitting else own.limits_reached(gpus)
        eta_s = self._eta_s(own, wish, ahead, len(fitting), on_gpu=on_gpu) if fitting else None
        if wish.not_before is not None and self._now < wish.not_before <= self._now + admission.LONGEST_BACK_OFF:
            until = wish.not_before + timedelta(microseconds=999_999)
            blocked_by.append(f"waits until {until:%Y-%m-%dT%H:%M:%SZ} before it is tried again: {wish.reason}")
            eta_s = None if eta_s is None else max(eta_s, (wish.not_before - self._now).total_seconds())
        return QueueView(position=ahead, eta_s=eta_s, blocked_by=blocked_by)

    @cached_property
    def waiting(self) -> dict[str, int]:
        """How many jobs of each project wait that somebody could take; read only where several projects have some."""
        return {project_id: count for project_id, count in self._session.execute(_WAITING, self.can_run)}

    @cached_property
    def pace(self) -> Pace | None:
        return _pace(self._session, self._now)

    def _eta_s(self, own: Load, wish: Wish, ahead: int, slots: int, *, on_gpu: bool) -> float | None:
        taken, others = sum(load.gpus if on_gpu else load.slots for load in self.loads.values()), wish.gpus - 1
        for most, held in ((own.max_running_jobs, own.running), (own.max_running_gpus if on_gpu else None, own.gpus)):
            if most is not None and most < slots:
                # What others have waiting does not matter to a project that waits for itself.
                slots, taken, ahead = most, held, wish.own
        if slots == 0:
            return None
        # All its slots but one are as if taken by others that go before it.
        ahead += others
        if ahead < slots - taken:
            return 0.0
        return None if self.pace is None else admission.eta_s(ahead, taken, slots, self.pace)

    def _misfit(self, wish: Wish, most: int) -> str:
        """Say what is missing where no host has room for a job, and the one with the most has `most` slots that would do."""
        if not self.has_workers:
            return NO_WORKER
        obstacles = {
            blocked_by
            for host, blocked_by in self._blocked
            if rooms(slot for slot in host if slot.fits(wish.device, wish.min_gpu_memory_gb)) >= wish.gpus
        }
        if obstacles:
            return f"no worker can start it: {'; '.join(sorted(obstacles))}"
        connected = [*self.slots, *(slot for host, _ in self._blocked for slot in host)]
        if not connected:
            return ALL_DRAINING
        if most > 0:
            kind = "slots" if wish.device == "cpu" else "GPUs"
            return f"no worker with {wish.gpus} {kind} for one job: of those connected, the largest has {most} that would do"
        largest = max((slot.gpu_bytes or 0 for slot in connected if slot.has_gpu), default=None)
        if wish.min_gpu_memory_gb is None:
            return NO_GPU
        found = "none of those connected has a GPU" if largest is None else f"the largest GPU of those connected has {largest / GB:.1f} GB"
        return f"no worker with {wish.min_gpu_memory_gb:g} GB: {found}"

    def _can_run(self) -> dict[str, object]:
        """Return, as parameters of `_CAN_RUN`, which jobs somebody could take now; all where nobody is there to take any."""
        if not self.slots:
            return {"most": MANY, "most_gpus": MANY, "largest_gb": inf, **on_time(self._now)}
        largest = max((slot.gpu_bytes or 0 for slot in self.slots if slot.has_gpu), default=0)
        most, most_gpus = max(map(rooms, self.hosts)), max(rooms(slot for slot in host if slot.has_gpu) for host in self.hosts)
        return {"most": most, "most_gpus": most_gpus, "largest_gb": largest / GB, **on_time(self._now)}


# Made once, and not for each who asks: to put them together takes longer than to answer them.
_LIVING = select(Agent.slots, Agent.draining_at, Agent.blocked_by).where(Agent.stopped_at.is_(None), Agent.beat_at > bindparam("since"))
_CAN_RUN = (
    MAY_START
    & (((Job.device != "cuda") & (Job.gpus <= bindparam("most"))) | (Job.gpus <= bindparam("most_gpus")))
    & (Job.min_gpu_memory_gb.is_(None) | (Job.min_gpu_memory_gb <= bindparam("largest_gb")))
)
_WAITING = select(Job.project_id, func.count()).where(IS_QUEUED, _CAN_RUN).group_by(Job.project_id)


def places(session: Session, jobs: Sequence[Job], now: datetime, line: Line | None = None) -> dict[str, QueueView]:
    """Return where each queued one of `jobs` stands, in the line if that was read already."""
    queued = [job for job in jobs if job.state == "queued"]
    if not queued:
        return {}
    line = line or Line(session, now)
    own = _places_in_projects(session, line, queued)
    wishes = {
        job.id: Wish(job.project_id, job.device, job.min_gpu_memory_gb, own.get(job.id, 0), job.gpus, job.not_before, job.state_reason)
        for job in queued
    }
    return {job_id: line.place(wish) for job_id, wish in wishes.items()}


def page(session: Session, project_id: str, after: str | None, limit: int, now: datetime) -> QueuePage:
    """Return up to `limit` queued jobs of a project, the next one first, of those after the job `after`.

    A job that has left the queue has kept its turn: the page after it begins where it was.
    """
    query = select(Job).where(Job.project_id == project_id, IS_QUEUED).order_by(Job.turn, Job.id).limit(limit + 1)
    if after is not None:
        last = session.execute(select(Job.turn, Job.id).where(Job.id == after, Job.project_id == project_id)).first()
        if last is None:
            raise Invalid.at("/after", "bad_cursor", "the job that the page before ended with was deleted; begin at the first page")
        query = query.where(tuple_(Job.turn, Job.id) > (last.turn, last.id))
    found = list(session.scalars(query))
    line = Line(session, now)
    stand = places(session, found[:limit], now, line)
    own = line.loads[project_id]
    return QueuePage(
        data=[_queued(job, stand[job.id]) for job in found[:limit]],
        next=cursor_after(found[limit - 1].id) if len(found) > limit else None,
        queued=session.scalar(select(func.count()).where(Job.project_id == project_id, IS_QUEUED)) or 0,
        running=own.running,
        slots=len(line.slots),
        busy=sum(load.slots for load in line.loads.values()),
        limits=limits(own),
    )


def _queued(job: Job, stands: QueueView) -> QueuedJob:
    return QueuedJob(id=job.id, name=job.name, study_id=job.study_id, priority=job.priority, queued_at=job.queued_at, queue=stands)


def place_of_new(session: Session, project_id: str, spec: ResolvedSpec, now: datetime) -> QueueView:
    """Return where a job would stand that were submitted now."""
    line = Line(session, now)
    turn = admission.turn(now, spec.priority)
    own = session.scalar(_BEFORE_NEW, {"project_id": project_id, "turn": turn, **line.can_run}) or 0
    asked = spec.resources
    return line.place(Wish(project_id, admission.device_of(asked), asked.min_gpu_memory_gb, own, asked.gpus))


def _places_in_projects(session: Session, line: Line, jobs: Sequence[Job]) -> dict[str, int]:
    """Return how many of its own project go before each job."""
    places: dict[str, int] = {}
    for project_id in {job.project_id for job in jobs}:
        wanted = {job.id: (job.turn, job.id) for job in jobs if job.project_id == project_id}
        places |= _places(session, line, project_id, wanted)
    return places


def _places(session: Session, line: Line, project_id: str, wanted: Mapping[str, tuple[float, str]]) -> dict[str, int]:
    (turn, first), (last_turn, last) = min(wanted.values()), max(wanted.values())
    between = {"turn": turn, "first": first, "last_turn": last_turn, "last": last}
    found = session.execute(_PLACES, {"project_id": project_id, "wanted": list(wanted), **between, **line.can_run})
    return {job_id: counted + (place or 0) for job_id, place, counted in found}


_OF_PROJECT = (Job.project_id == bindparam("project_id")) & IS_QUEUED
_BEFORE_NEW = select(func.count()).where(_OF_PROJECT, _CAN_RUN, Job.turn <= bindparam("turn"))


def _numbered() -> Select[Any]:
    """Of those before the first of the wanted ones it is enough to know how many they are; from there to the last, each is numbered."""
    turn, kinds = tuple_(Job.turn, Job.id), (Job.turn.type, Job.id.type)
    first = tuple_(bindparam("turn", type_=kinds[0]), bindparam("first", type_=kinds[1]))
    last = tuple_(bindparam("last_turn", type_=kinds[0]), bindparam("last", type_=kinds[1]))
    before = select(func.count()).where(_OF_PROJECT, turn < first, _CAN_RUN).scalar_subquery()
    since_first = func.sum(case((_CAN_RUN, 1), else_=0)).over(order_by=(Job.turn, Job.id), rows=(None, -1))
    numbered = select(Job.id.label("id"), since_first.label("place")).where(_OF_PROJECT, turn >= first, turn <= last).subquery()
    return select(numbered.c.id, numbered.c.place, before).where(numbered.c.id.in_(bindparam("wanted", expanding=True)))


_PLACES = _numbered()


def _pace(session: Session, now: datetime) -> Pace | None:
    """Return how long the jobs that ended last took, and those that go on for longer already; None before any has ended."""
    ended = select(Job.run_s, Job.resolved).where(Job.finished_at.is_not(None), Job.run_s > 0).order_by(Job.finished_at.desc())
    took = [(run_s, _size(resolved)) for run_s, resolved in session.execute(ended.limit(REMEMBERED))]
    if not took:
        return None
    usual_s = fmean(run_s for run_s, _ in took)
    going_on = session.execute(select(Job.started_at, Job.resolved).where(IS_HELD).limit(REMEMBERED))
    so_far = [((now - started_at).total_seconds(), _size(resolved)) for started_at, resolved in going_on if started_at is not None]
    took += [(run_s, size) for run_s, size in so_far if run_s > usual_s]
    return Pace(fmean(run_s / size for run_s, size in took), fmean(run_s for run_s, _ in took))


def _size(resolved: Resolved | None) -> int:
    return 1 if resolved is None else resolved.cohort_size
