"""Training jobs, and what they leave."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from counterweight._downloads import download
from counterweight._resources.asking import PAGE_SIZE, changes, document, dry, pages
from counterweight._resources.following import follow
from counterweight._resources.waiting import LONGEST_HOLD_S, is_over, last, through_restarts, watch
from counterweight._transport import Query, Transport
from counterweight.contracts.artifacts import ArtifactView
from counterweight.contracts.deletions import Deletion
from counterweight.contracts.evaluation import Evaluation, OperatingPoint
from counterweight.contracts.events import EventView, ProgressView
from counterweight.contracts.jobs import AttemptRecord, JobPlan, JobSpec, JobView, LogLine, LogPage, MetricsView, Transition
from counterweight.contracts.pages import Page
from counterweight.contracts.problems import Problem, problem_type
from counterweight.errors import NotFound


class Jobs:
    """Training jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(self, spec: JobSpec | str | None = None, **fields: Any) -> JobView:
        """Queue a job, given as a JobSpec, as its JSON for the server to judge, or as fields: `dataset_id=…, loss=Focal(gamma=2)`."""
        return self._transport.post("/jobs", JobView, document(spec, JobSpec, fields))

    def plan(self, spec: JobSpec | str | None = None, **fields: Any) -> JobPlan:
        """Check a job as `submit` would, and say what it may need and what would keep it waiting; nothing is queued."""
        return self._transport.post("/jobs", JobPlan, document(spec, JobSpec, fields), dry(True))

    def get(self, job_id: str, *, wait_s: float = 0, since_version: int | None = None) -> JobView:
        """Read a job; with `wait_s` (at most 60) once it is newer than `since_version`, or as it is when the wait ends."""
        return self._transport.get_held(f"/jobs/{job_id}", JobView, wait_s, since_version)

    def list(self, *, filter: str | None = None, sort: str | None = None, limit: int | None = None) -> Iterator[JobView]:
        """Yield jobs that `filter` lets through, in the order of `sort`, newest first without; pages are fetched as they are needed."""
        return pages(self._transport, "/jobs", Page[JobView], {"filter": filter, "sort": sort}, limit)

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobView:
        """Return the job once it is over: `succeeded`, `failed` or `cancelled`. WaitTimeout when that takes too long."""
        return last(self.watch(job_id, timeout_s))

    def watch(self, job_id: str, timeout_s: float | None = None, every_s: float = LONGEST_HOLD_S) -> Iterator[JobView]:
        """Yield the job now, at each change of state or phase, and every `every_s` for its progress, until it is over."""
        return watch(partial(self._read, job_id), is_over, timeout_s, every_s)

    def _read(self, job_id: str, wait_s: float, since_version: int | None) -> JobView:
        return self.get(job_id, wait_s=wait_s, since_version=since_version)

    def events(self, job_id: str, *, after: int | None = None) -> Iterator[JobView | EventView | ProgressView]:
        """Yield what happens to a job, as it does, until it is over: first the job as it is, again after a break, then its events
        and its progress; with `after`, all events after the one of that id."""
        return follow(self._transport, f"/jobs/{job_id}/events", JobView, after)

    def cancel(self, job_id: str) -> JobView:
        """Ask for the end of a job; `wait` tells when it has come."""
        return self._transport.post(f"/jobs/{job_id}/cancel", JobView)

    def pause(self, job_id: str) -> JobView:
        """Ask the workers of a job to keep the place and free the device; queued jobs leave the queue at once."""
        return self._transport.post(f"/jobs/{job_id}/pause", JobView)

    def resume(self, job_id: str) -> JobView:
        """Put a paused job back in the queue, to go on from the last checkpoint."""
        return self._transport.post(f"/jobs/{job_id}/resume", JobView)

    def retry(self, job_id: str) -> JobView:
        """Queue a new job with the same spec as one that is over; its `retry_of` names that one."""
        return self._transport.post(f"/jobs/{job_id}/retry", JobView)

    def update(
        self,
        job_id: str,
        *,
        name: str | None = None,
        labels: dict[str, str | None] | None = None,
        priority: int | None = None,
        version: int | None = None,
    ) -> JobView:
        """Change what is given; a label that is None goes. With `version`, Conflict when the job has another one by now."""
        given = {"name": name, "labels": labels, "priority": priority}
        return self._transport.patch(f"/jobs/{job_id}", JobView, changes(given), version)

    def delete(self, job_id: str, *, dry_run: bool = False, version: int | None = None) -> Deletion:
        """Delete a job that is over, with all it made; with `dry_run`, only say what would go."""
        return self._transport.delete(f"/jobs/{job_id}", Deletion, dry(dry_run), version)

    def metrics(self, job_id: str, *, names: str | None = None, points: int = 500) -> MetricsView:
        """Return what was recorded while training; `names` are comma-separated, and each series is thinned to `points`."""
        return self._transport.get(f"/jobs/{job_id}/metrics", MetricsView, {"names": names, "points": points})

    def logs(self, job_id: str, *, after: int = 0, limit: int = PAGE_SIZE, wait_s: float = 0) -> LogPage:
        """Read the job's log after the line `after`, oldest first; with `wait_s` (at most 60) once there is more."""
        query: Query = {"after": after, "limit": limit, "wait": wait_s or None}
        return self._transport.get(f"/jobs/{job_id}/logs", LogPage, query, wait_s)

    def log_lines(self, job_id: str, *, follow: bool = False) -> Iterator[LogLine]:
        """Yield the lines of the job's log; with `follow`, as they come, until the job is over."""
        page = self.logs(job_id)
        after = 0
        while True:
            yield from page.data
            after = page.data[-1].id if page.data else after
            if page.next is None and (page.is_final or not follow):
                return
            held_s = 0 if page.next is not None else LONGEST_HOLD_S
            page = through_restarts(partial(self.logs, job_id, after=after, wait_s=held_s))

    def artifacts(self, job_id: str) -> Sequence[ArtifactView]:
        """Return the files the job made, by name; none before it has succeeded."""
        return self._transport.get(f"/jobs/{job_id}/artifacts", Page[ArtifactView]).data

    def download(self, job_id: str, name: str, to: Path | str | None = None) -> Path:
        """Download a file of the job to a path or into a folder (the current one when left out), checked against its digest.

        After a break it goes on where it was; nothing half there is ever found under the name.
        """
        found = {artifact.name: artifact for artifact in self.artifacts(job_id)}
        if name not in found:
            told = f"job {job_id} has no file {name!r}; it has {', '.join(found) or 'none'}"
            raise NotFound(
                Problem(type=problem_type("not_found"), title="There is no such file", status=404, code="not_found", detail=told)
            )
        target = Path(name if to is None else to)
        return download(self._transport, found[name], target / name if target.is_dir() else target)

    def evaluation(self, job_id: str) -> Evaluation:
        """Return all that was measured of a succeeded job's model."""
        return self._transport.get(f"/jobs/{job_id}/evaluation", Evaluation)

    def operating_point(
        self,
        job_id: str,
        *,
        min_precision: float | None = None,
        min_recall: float | None = None,
        false_negative: float | None = None,
        false_positive: float | None = None,
        threshold: float | None = None,
    ) -> OperatingPoint:
        """Choose a threshold on the validation rows in one of these ways, and return what it does there and on the test rows."""
        query: Query = {
            "min_precision": min_precision,
            "min_recall": min_recall,
            "false_negative": false_negative,
            "false_positive": false_positive,
            "threshold": threshold,
        }
        return self._transport.get(f"/jobs/{job_id}/operating-point", OperatingPoint, query)

    def transitions(self, job_id: str) -> Sequence[Transition]:
        """Return the job's changes of state, oldest first."""
        return self._transport.get(f"/jobs/{job_id}/transitions", Page[Transition]).data

    def attempts(self, job_id: str) -> Sequence[AttemptRecord]:
        """Return every try at the job, oldest first: who made it, between which steps, how it ended and what was done about that."""
        return self._transport.get(f"/jobs/{job_id}/attempts", Page[AttemptRecord]).data
