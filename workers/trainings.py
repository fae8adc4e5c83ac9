"""A cohort that a trainer of this host trains: what the trainer is told, and what is made of what it says."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from sqlalchemy.orm import Session

from counterweight.contracts.datasets import TableFacts
from counterweight.contracts.jobs import JobState, ResolvedSpec
from counterweight.contracts.messages import Checkpointed, CheckpointFile, LastWord, Member, TrainerTask
from service.domain.cohorts import pack_size
from service.persistence import attempts, checkpoints, datasets, queue, recording
from service.persistence.files import Files
from service.persistence.queue import Claim, Cohort, PackSize
from service.persistence.recording import TrainerReport
from service.persistence.tables import Dataset, Job
from workers.devices import Slot
from workers.processes import End, TrainerProcess

Said: TypeAlias = dict[Claim, list[TrainerReport]]


@dataclass(frozen=True)
class Heard:
    """What a trainer has said of each member, which members have ended with it, and how the trainer ended if it left others behind."""

    said: Said
    ended: Collection[str]
    end: End | None


@dataclass
class Training:
    """A cohort being trained in one of the slots, or a job in several: `size` jobs, of which those with a claim have not ended."""

    claims: dict[str, Claim]
    size: int
    slots: Sequence[int]
    process: TrainerProcess
    checkpoint_folder: str = ""
    ends_at: dict[str, float] = field(default_factory=dict)
    """When a member has run for as long as it may, by the monotonic clock; those without a limit are left out."""
    told_to_stop_at: dict[str, float] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)

    def hear(self) -> Heard:
        """Take what the trainer has said and was not heard yet."""
        said: Said = {}
        for report in self.process.reports():
            for job_id in report.job_ids if isinstance(report, Checkpointed) else [report.job_id]:
                claim = self.claims.get(job_id)
                # Nothing counts that it says of other jobs, or of a member after its last word.
                if claim is not None and not (claim in said and isinstance(said[claim][-1], LastWord)):
                    said.setdefault(claim, []).append(report)
        ended = {claim.id for claim, reports in said.items() if isinstance(reports[-1], LastWord)}
        # A trainer killed right after it spoke: its words and its end are read at once.
        left_some = self.process.has_ended and self.claims.keys() > ended
        return Heard(said, ended, self.process.how_it_ended() if left_some else None)

    def record(self, session: Session, heard: Heard, now: datetime) -> list[str]:
        """Write what was heard; return the members whose claim no longer stands."""
        lost = recording.record_jobs(session, heard.said, self.size, now, self.checkpoint_folder)
        if heard.end is not None:
            for job in queue.lock_jobs(session, self.claims.values()).values():
                if heard.end.is_lost:
                    attempts.lose(session, job, heard.end.detail, now)
                else:
                    attempts.crash(session, job, self.size, heard.end.detail, now)
        return lost

    def tell_to_stop(self, job_ids: Mapping[str, JobState], at: float, patience_s: float) -> list[Claim]:
        """Tell the trainer to stop these jobs, as far as it has them, for good or, if they are pausing, for now.

        Returns those that it was told of longer ago than patience lasts.
        """
        members = [job_id for job_id in job_ids if job_id in self.claims]
        for job_id in members:
            is_pausing = job_ids[job_id] == "pausing"
            # One that was pausing may be cancelled before it has left.
            if not is_pausing and job_id not in self.cancelled:
                self.cancelled.add(job_id)
                self.process.cancel(job_id)
            elif is_pausing and job_id not in self.told_to_stop_at:
                self.process.let_go(job_id)
            self.told_to_stop_at.setdefault(job_id, at)
        return [self.claims[job_id] for job_id in members if at - self.told_to_stop_at[job_id] > patience_s]

    def let_all_go(self) -> None:
        """Ask the trainer to keep the places of all members and leave them."""
        for job_id in self.claims:
            self.process.let_go(job_id)

    def forget(self, job_ids: Collection[str]) -> None:
        """These members have ended, or are no longer ours."""
        for job_id in job_ids:
            self.claims.pop(job_id, None)


def pack_for(slot: Slot, most: int | None) -> PackSize:
    """Return how many jobs of a kind are to be trained together in this slot, `most` at most if that is a number."""

    def pack(spec: ResolvedSpec, dataset: Dataset) -> int:
        if spec.resources.gpus > 1:
            return 1
        device = slot.device_for(spec.resources.device)
        best = pack_size(spec, datasets.facts(dataset), on_gpu=device != "cpu", memory_bytes=slot.memory_bytes_of(device))
        return best if most is None else min(best, most)

    return pack


def checkpoint_folder(cohort: Cohort) -> str:
    return checkpoints.folder(cohort.claims[0].id, cohort.claims[0].fence)


def run_ends(cohort: Cohort, at: float) -> dict[str, float]:
    """Return when jobs that may run only so long will have done so, counted from `at`."""
    limits = [(job.id, job.spec.limits.max_runtime_s, job.run_s) for job in cohort.jobs]
    return {job_id: at + limit - before for job_id, limit, before in limits if limit is not None}


def task_of(cohort: Cohort, slots: Sequence[Slot], files: Files, checkpoint_s: float) -> TrainerTask:
    """Return what the trainer of this cohort is told that has these slots; makes the folders that it may write to."""
    dataset, best = cohort.dataset, cohort.jobs[0]
    assert dataset.table_path is not None
    assert dataset.table_sha256 is not None
    test, devices = cohort.test_dataset, [slot.device_for(best.device) for slot in slots]
    return TrainerTask(
        members=[_member(claim, job, files) for claim, job in zip(cohort.claims, cohort.jobs, strict=True)],
        table=str(files.path(dataset.table_path)),
        table_sha256=dataset.table_sha256,
        test_table=None if test is None or test.table_path is None else str(files.path(test.table_path)),
        test_table_sha256=None if test is None else test.table_sha256,
        facts=TableFacts.model_validate(dataset),
        cache_folder=str(files.make_folder(recording.cache_folder(dataset.id))),
        device=devices[0],
        rank_devices=devices if len(devices) > 1 else [],
        threads=slots[0].threads,
        checkpoints=[CheckpointFile(id=one.id, path=str(files.path(one.path)), sha256=one.sha256) for one in cohort.checkpoints],
        checkpoint_folder=str(files.make_folder(checkpoint_folder(cohort))),
        checkpoint_s=checkpoint_s,
    )


def _member(claim: Claim, job: Job, files: Files) -> Member:
    folder = files.make_attempt_folder(recording.job_folder(claim.id), claim.fence)
    return Member(job_id=claim.id, spec=job.spec, folder=str(folder))
