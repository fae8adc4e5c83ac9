"""The queue: the job table itself, and the dataset table for files waiting to be read.

An agent claims work under a new fence and may write to it while that fence stands. Every change of holder moves the fence,
so whatever a lost holder still sends is refused.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, TypeVar

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session, defer, joinedload

from counterweight.contracts.datasets import DatasetOptions
from counterweight.contracts.ids import new_id
from counterweight.contracts.jobs import JobState, Position, ResolvedSpec
from counterweight.contracts.problems import Problem, problem_type
from service.domain.admission import GB, Load, in_turn
from service.domain.cohorts import even_share
from service.domain.errors import LostClaim
from service.persistence import admission, checkpoints, event_log, events, inserting
from service.persistence.tables import IS_QUEUED, Agent, Attempt, Checkpoint, Dataset, Job, Study

MAX_INGEST_CRASHES = 3
COUNTED_ROUNDS = 4

Work = TypeVar("Work", Job, Dataset, Study)


@dataclass(frozen=True)
class Claim:
    """The right of one agent to write to one job, dataset or study, as long as its fence stands."""

    id: str
    agent_id: str
    fence: int


@dataclass(frozen=True)
class Cohort:
    """Jobs claimed together, the best first, each under its own claim; all are trained on `dataset`.

    Where `test_dataset` is None, some of its rows are the test rows. They go on from the first of `checkpoints` that is whole.
    """

    claims: list[Claim]
    jobs: list[Job]
    dataset: Dataset
    test_dataset: Dataset | None
    checkpoints: list[Checkpoint]


PackSize: TypeAlias = Callable[[ResolvedSpec, Dataset], int]
"""How many jobs like this one, on this dataset, are to be trained together."""


@dataclass(frozen=True)
class Room:
    """How many slots of an agent's host one job can have: `idle` now, and `most` of them once all are."""

    idle: int = 1
    most: int = 1


def alone(_spec: ResolvedSpec, _dataset: Dataset) -> int:
    return 1


def claim_cohort(
    session: Session,
    agent_id: str,
    devices: Sequence[str],
    now: datetime,
    pack: PackSize = alone,
    shares: int = 1,
    gpu_bytes: int | None = None,
    room: Room = Room(),
) -> Cohort | None:
    """Hand the next job that fits `devices` and the memory of the GPU to the agent, and with it those that can be trained beside it.

    Projects take turns (`domain/admission.py`); none gets more than its limits allow. They are `pack` at most, and an even share of what
    waits: the agent has `shares` slots without work. Each has a fence and an attempt of its own. None when nothing is eligible, the
    agent is draining, or the job whose turn it is waits until more slots of the host are idle. LostClaim when the agent has been
    declared lost: nobody would give back what it claims.
    """
    loads = admission.loads_for(session, agent_id)
    if loads is None:
        return None
    for project in in_turn(loads):
        load = admission.hold_to_limits(session, project)
        best = None if load.jobs_left == 0 else _best(session, _fitting(devices, gpu_bytes, load, room.most, now))
        if best is not None and best.gpus > room.idle:
            # Others that need less would go before it for ever: what is idle is kept for it.
            return None
        if best is not None:
            return _claim(session, agent_id, best, load, on_gpu="cuda" in devices, pack=pack, shares=shares, now=now)
    return None


def _fitting(devices: Sequence[str], gpu_bytes: int | None, load: Load, most: int, now: datetime) -> dict[str, object]:
    """Return, as parameters of `_BEST`, which jobs can run in a slot that takes these devices.

    Where the project has all its GPUs, those for the processor alone.
    """
    has_gpu = "cuda" in devices and load.gpus_left != 0
    return {
        "project_id": load.project_id,
        "devices": ["cpu"] if "cuda" in devices and not has_gpu else list(devices),
        "gpu_gb": (gpu_bytes or 0) / GB if has_gpu else 0.0,
        "most": most,
        "gpus_left": load.gpus_left if has_gpu and load.gpus_left is not None else most,
        **admission.on_time(now),
    }


_UNSEEN = (defer(Job.labels), defer(Job.loss), defer(Job.error))
"""What a claim does not look at, and would take long to read."""

# Made once, and not for each claim: to put a statement together takes longer than to answer it.
_BEST = (
    select(Job)
    .where(
        Job.project_id == bindparam("project_id"),
        IS_QUEUED,
        Job.device.in_(bindparam("devices", expanding=True)),
        Job.min_gpu_memory_gb.is_(None) | (Job.min_gpu_memory_gb <= bindparam("gpu_gb")),
        Job.gpus <= bindparam("most"),
        (Job.device == "cpu") | (Job.gpus <= bindparam("gpus_left")),
        admission.MAY_START,
    )
    # A turn hangs on the time of submission, not of coming back: a job that comes back keeps its place.
    .order_by(Job.turn, Job.id)
    .limit(1)
    .options(*_UNSEEN, joinedload(Job.dataset, innerjoin=True))
    # Agents asking at the same moment pass over each other's row instead of waiting.
    .with_for_update(skip_locked=True, of=Job)
)


def _best(session: Session, fitting: Mapping[str, object]) -> Job | None:
    return session.scalar(_BEST, fitting)


def _claim(session: Session, agent_id: str, best: Job, load: Load, *, on_gpu: bool, pack: PackSize, shares: int, now: datetime) -> Cohort:
    dataset, test = best.dataset, None if best.test_dataset_id is None else session.get_one(Dataset, best.test_dataset_id)
    if best.checkpoint_id is not None:
        jobs = [best, *_fellows(session, best, load, now)]
    else:
        most = pack(best.spec, dataset) if load.jobs_left is None else min(pack(best.spec, dataset), load.jobs_left)
        jobs = [best, *_companions(session, best, most - 1, shares, now)]
    cohort_id = new_id("coh", now) if len(jobs) > 1 else None
    for job in jobs:
        job.agent_id, job.fence, job.cohort_id = agent_id, job.fence + 1, cohort_id
        job.resolved = job.not_before = None
        if job.checkpoint_id is None:
            job.progress = None
        job.gpus_held = job.gpus if on_gpu and job.device != "cpu" else 0
    events.move_jobs(session, jobs, "running", f"claimed by {agent_id}", now)
    kept = checkpoints.newest_first(session, best)
    _begin_attempts(session, jobs, agent_id, checkpoints.position(kept), now)
    claims = [Claim(job.id, agent_id, job.fence) for job in jobs]
    return Cohort(claims, jobs, dataset, test, kept)


def _fellows(session: Session, best: Job, load: Load, now: datetime) -> Sequence[Job]:
    """Return the queued jobs that go on from the same checkpoint: they were trained with the best one, and are again."""
    limits = [limit for limit in (best.cohort_limit, load.jobs_left) if limit is not None]
    kept = select(Job).where(Job.checkpoint_id == best.checkpoint_id, Job.state == "queued", Job.id != best.id, admission.may_start(now))
    ordered = kept.where(Job.project_id == best.project_id).order_by(Job.id).limit(min(limits) - 1 if limits else None)
    return session.scalars(ordered.with_for_update(skip_locked=True)).all()


def _companions(session: Session, best: Job, most: int, shares: int, now: datetime) -> Sequence[Job]:
    """Return up to `most` queued jobs to be trained with the best one, and no more than its even share; those first that see its batches.

    Of its own priority: a job that was put ahead of others is not slowed by them. Of its own limit: jobs of a cohort that died are
    tried again among themselves, and so harm no others.
    """
    if best.cohort_limit is not None:
        most = min(most, best.cohort_limit - 1)
    if best.cohort_key is None or most < 1:
        return []
    alike = (IS_QUEUED, Job.cohort_key == best.cohort_key, Job.priority == best.priority, Job.id != best.id, Job.checkpoint_id.is_(None))
    fitting = select(Job).where(*alike, Job.cohort_limit.is_not_distinct_from(best.cohort_limit), admission.may_start(now))
    # Of a long queue the beginning: where so many rounds wait, a share is hardly less than all that a pack may hold.
    counted = fitting.with_only_columns(Job.id).limit(COUNTED_ROUNDS * shares * (most + 1) - 1).subquery()
    waiting = session.scalar(select(func.count()).select_from(counted)) or 0
    most = even_share(1 + waiting, most + 1, shares) - 1
    found: list[Job] = []
    # Two questions, each answered in the order of the index: in one, all that could come along would be sorted.
    for seeds in (Job.seed == best.seed, Job.seed != best.seed):
        few = fitting.where(seeds).order_by(Job.seed, Job.id).limit(most - len(found))
        found += session.scalars(few.with_for_update(skip_locked=True)).all() if len(found) < most else []
    return found


def _begin_attempts(session: Session, jobs: Sequence[Job], agent_id: str, at: Position, now: datetime) -> None:
    # Under its first fence a job was never tried before: there is nothing to forget or to count.
    tried = [job for job in jobs if job.fence > 1]
    before: dict[str, int] = {}
    if tried:
        checkpoints.forget_what_follows(session, tried)
        earlier = select(Attempt.job_id, func.count()).where(Attempt.job_id.in_([job.id for job in tried])).group_by(Attempt.job_id)
        before = {job_id: count for job_id, count in session.execute(earlier)}
    shared = {"agent_id": agent_id, "started_at": now, "began": at}
    inserting.add_rows(
        session, Attempt, [shared | {"job_id": job.id, "number": before.get(job.id, 0) + 1, "fence": job.fence} for job in jobs]
    )


def claim_dataset(session: Session, agent_id: str) -> tuple[Claim, str, DatasetOptions] | None:
    """Hand the oldest unread file to the agent under a new fence: the claim, the file's path and how to read it.

    None when there is none, or the agent is draining; LostClaim when it has been declared lost.
    """
    if not takes_work(session, agent_id):
        return None
    dataset = session.scalar(
        select(Dataset)
        .where(Dataset.state == "processing", Dataset.agent_id.is_(None))
        .order_by(Dataset.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if dataset is None:
        return None
    dataset.agent_id, dataset.fence = agent_id, dataset.fence + 1
    return Claim(dataset.id, agent_id, dataset.fence), dataset.source_path, dataset.options


def lock(session: Session, table: type[Work], claim: Claim) -> Work:
    """Return the claimed row, locked until the transaction ends; LostClaim when the claim no longer stands."""
    held = (table.id == claim.id) & (table.agent_id == claim.agent_id) & (table.fence == claim.fence)
    row = session.scalar(select(table).where(held).with_for_update())
    if row is None:
        raise LostClaim(f"{claim.id} is no longer held by {claim.agent_id} under fence {claim.fence}")
    return row


def lock_jobs(session: Session, claims: Collection[Claim]) -> dict[str, Job]:
    """Return, by id, the jobs whose claim still stands, locked until the transaction ends."""
    if not claims:
        return {}
    fences = {claim.id: (claim.agent_id, claim.fence) for claim in claims}
    # In the order of ids, as everyone who locks several: two who lock the same never wait for each other.
    rows = session.scalars(select(Job).where(Job.id.in_(fences)).order_by(Job.id).with_for_update())
    return {job.id: job for job in rows if (job.agent_id, job.fence) == fences[job.id]}


def told_to_stop(session: Session, agent_id: str) -> dict[str, JobState]:
    """The agent's jobs that were told to stop, for good (`cancelling`) or for now (`pausing`)."""
    asked = select(Job.id, Job.state).where(Job.agent_id == agent_id, Job.state.in_(("cancelling", "pausing")))
    return {job_id: state for job_id, state in session.execute(asked)}


def takes_work(session: Session, agent_id: str) -> bool:
    """Whether the agent may claim; makes sure that nobody declares it lost, or drains it, before this transaction ends.

    LostClaim when it has been declared lost.
    """
    alive = select(Agent.draining_at).where(Agent.id == agent_id, Agent.stopped_at.is_(None)).with_for_update(read=True)
    found = session.execute(alive).first()
    if found is None:
        raise LostClaim(f"agent {agent_id} was declared lost")
    return found[0] is None


def release(session: Session, work: Dataset | Study) -> None:
    """Let another agent read the file, or compare the arms."""
    work.agent_id, work.fence = None, work.fence + 1
    event_log.announce(session, work.id)


def crash_dataset(session: Session, dataset: Dataset, detail: str, now: datetime) -> None:
    """The process reading the file died: try again, a few times."""
    dataset.crashes += 1
    if dataset.crashes < MAX_INGEST_CRASHES:
        release(session, dataset)
        return
    refuse_dataset(session, dataset, "ingest_crashed", f"reading the file ended {dataset.crashes} times: {detail}", now)


def refuse_dataset(session: Session, dataset: Dataset, code: str, detail: str, now: datetime) -> None:
    """End a dataset whose file cannot be read, saying why."""
    dataset.error = Problem(type=problem_type(code), title="The file cannot be read", status=422, code=code, detail=detail)
    events.move_dataset(session, dataset, "failed", code, now)
