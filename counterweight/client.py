"""A typed client of the HTTP API: `Client().jobs.submit(dataset_id=…, loss=Focal(gamma=2))`."""

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from pydantic import BaseModel

from counterweight._downloads import download
from counterweight._transport import Query, Transport
from counterweight.contracts.artifacts import ArtifactView
from counterweight.contracts.base import View
from counterweight.contracts.datasets import DatasetOptions, DatasetView
from counterweight.contracts.deletions import Deletion
from counterweight.contracts.evaluation import Evaluation, OperatingPoint
from counterweight.contracts.jobs import JobPlan, JobSpec, JobView, LogLine, LogPage, MetricsView, Transition
from counterweight.contracts.keys import KeyView, NewKey, NewKeyView
from counterweight.contracts.loss_catalogue import LossCard
from counterweight.contracts.loss_curves import LossCurve
from counterweight.contracts.loss_resolution import LossAnswer, LossQuestion
from counterweight.contracts.pages import Page
from counterweight.contracts.problems import Problem, problem_type
from counterweight.errors import NotFound, ServerUnreachable, WaitTimeout
from counterweight.settings import ClientSettings

LONGEST_HOLD_S = 30
RESTART_PATIENCE_S = 60.0
PAGE_SIZE = 200


class Client:
    """A Counterweight server; `url` and `api_key` come from COUNTERWEIGHT_URL and COUNTERWEIGHT_API_KEY when left out.

    Connect errors and 408, 429, 5xx and "still in flight" answers are retried twice; what cannot be done raises a
    `counterweight.errors.ClientError`. Not for use by several threads at once.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        settings = ClientSettings()
        known_key = settings.api_key.get_secret_value() if settings.api_key else None
        self._transport = Transport(url or settings.url, api_key or known_key)
        self.url = self._transport.url
        self.datasets = Datasets(self._transport)
        self.jobs = Jobs(self._transport)
        self.losses = Losses(self._transport)
        self.keys = Keys(self._transport)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Datasets:
    """Uploads and what was found in them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload(
        self, path: Path | str, *, name: str | None = None, options: DatasetOptions | str | None = None, **fields: Any
    ) -> DatasetView:
        """Stream a file to the server; reading it goes on there: see `wait`.

        How to read it comes as `options` (DatasetOptions, or their JSON for the server to judge) or as their fields, such as
        `target="is_fraud"`. The same bytes with the same options are the same dataset.
        """
        file = Path(path)
        wanted = _document(options, DatasetOptions, fields) if options or fields else None
        return self._transport.post_file(
            "/datasets", DatasetView, file, _content_type(file), {"name": name or file.name, "options": wanted}
        )

    def get(self, dataset_id: str, *, wait_s: float = 0, since_version: int | None = None) -> DatasetView:
        """Read a dataset; with `wait_s` (at most 60) once it is newer than `since_version`, or as it is when the wait ends."""
        return self._transport.get_held(f"/datasets/{dataset_id}", DatasetView, wait_s, since_version)

    def list(self, *, limit: int | None = None) -> Iterator[DatasetView]:
        """Yield datasets, newest first; pages are fetched as they are needed."""
        return _pages(self._transport, "/datasets", Page[DatasetView], {}, limit)

    def update(
        self, dataset_id: str, *, name: str | None = None, labels: dict[str, str | None] | None = None, version: int | None = None
    ) -> DatasetView:
        """Change what is given; a label that is None goes. With `version`, Conflict when the dataset has another one by now."""
        return self._transport.patch(f"/datasets/{dataset_id}", DatasetView, _changes({"name": name, "labels": labels}), version)

    def delete(self, dataset_id: str, *, dry_run: bool = False, version: int | None = None) -> Deletion:
        """Delete a dataset no job was made on, with its files; with `dry_run`, only say what would go."""
        return self._transport.delete(f"/datasets/{dataset_id}", Deletion, _dry(dry_run), version)

    def wait(self, dataset_id: str, timeout_s: float | None = None) -> DatasetView:
        """Return the dataset once it was read, for better or worse: `ready` or `failed`. WaitTimeout when that takes too long."""
        return _last(_watch(partial(self._read, dataset_id), _was_read, timeout_s, LONGEST_HOLD_S))

    def _read(self, dataset_id: str, wait_s: float, since_version: int | None) -> DatasetView:
        return self.get(dataset_id, wait_s=wait_s, since_version=since_version)


class Jobs:
    """Training jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(self, spec: JobSpec | str | None = None, **fields: Any) -> JobView:
        """Queue a job, given as a JobSpec, as its JSON for the server to judge, or as fields: `dataset_id=…, loss=Focal(gamma=2)`."""
        return self._transport.post("/jobs", JobView, _document(spec, JobSpec, fields))

    def plan(self, spec: JobSpec | str | None = None, **fields: Any) -> JobPlan:
        """Check a job as `submit` would, and say what it may need and what would keep it waiting; nothing is queued."""
        return self._transport.post("/jobs", JobPlan, _document(spec, JobSpec, fields), _dry(True))

    def get(self, job_id: str, *, wait_s: float = 0, since_version: int | None = None) -> JobView:
        """Read a job; with `wait_s` (at most 60) once it is newer than `since_version`, or as it is when the wait ends."""
        return self._transport.get_held(f"/jobs/{job_id}", JobView, wait_s, since_version)

    def list(self, *, filter: str | None = None, sort: str | None = None, limit: int | None = None) -> Iterator[JobView]:
        """Yield jobs that `filter` lets through, in the order of `sort`, newest first without; pages are fetched as they are needed."""
        return _pages(self._transport, "/jobs", Page[JobView], {"filter": filter, "sort": sort}, limit)

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobView:
        """Return the job once it is over: `succeeded`, `failed` or `cancelled`. WaitTimeout when that takes too long."""
        return _last(self.watch(job_id, timeout_s))

    def watch(self, job_id: str, timeout_s: float | None = None, every_s: float = LONGEST_HOLD_S) -> Iterator[JobView]:
        """Yield the job now, at each change of state or phase, and every `every_s` for its progress, until it is over."""
        return _watch(partial(self._read, job_id), _is_terminal, timeout_s, every_s)

    def _read(self, job_id: str, wait_s: float, since_version: int | None) -> JobView:
        return self.get(job_id, wait_s=wait_s, since_version=since_version)

    def cancel(self, job_id: str) -> JobView:
        """Ask for the end of a job; `wait` tells when it has come."""
        return self._transport.post(f"/jobs/{job_id}/cancel", JobView)

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
        return self._transport.patch(f"/jobs/{job_id}", JobView, _changes(given), version)

    def delete(self, job_id: str, *, dry_run: bool = False, version: int | None = None) -> Deletion:
        """Delete a job that is over, with all it made; with `dry_run`, only say what would go."""
        return self._transport.delete(f"/jobs/{job_id}", Deletion, _dry(dry_run), version)

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
            page = _through_restarts(partial(self.logs, job_id, after=after, wait_s=held_s))

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


class Losses:
    """What there is to choose from."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[LossCard]:
        """Return the losses there are: formula, parameters, when to use each and when not."""
        return self._transport.get("/losses", Page[LossCard]).data

    def resolve(self, question: LossQuestion | str | None = None, **fields: Any) -> LossAnswer:
        """Tell what a loss comes to on a dataset, asked as a LossQuestion, as its JSON or as fields: `dataset_id=…, loss=Focal()`."""
        return self._transport.post("/losses/resolve", LossAnswer, _document(question, LossQuestion, fields))

    def curve(self, kind: str, *, rows: int = 10_000, positive_rows: int = 1_000, points: int = 199, **parameters: Any) -> LossCurve:
        """Draw a loss of two classes against the probability of the true class; `parameters` are the loss's, such as `gamma=2`."""
        query = {"kind": kind, "rows": rows, "positive_rows": positive_rows, "points": points, **parameters}
        return self._transport.get("/losses/curve", LossCurve, query)


class Keys:
    """API keys; the caller's own must be an admin's."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, new: NewKey | str | None = None, **fields: Any) -> NewKeyView:
        """Make a key, given as a NewKey, as its JSON or as its fields. The answer holds the secret, this once."""
        return self._transport.post("/api-keys", NewKeyView, _document(new, NewKey, fields))

    def list(self, *, limit: int | None = None) -> Iterator[KeyView]:
        return _pages(self._transport, "/api-keys", Page[KeyView], {}, limit)

    def revoke(self, key_id: str) -> KeyView:
        """End a key at once, for good."""
        return self._transport.delete(f"/api-keys/{key_id}", KeyView)


Item = TypeVar("Item", bound=View)
Read = TypeVar("Read")


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


Resource = TypeVar("Resource", bound=_Versioned)


def _document(given: BaseModel | str | None, kind: type[BaseModel], fields: dict[str, Any]) -> str:
    """Return the JSON of what the caller gave in one of the ways it can be given."""
    if given is not None and fields:
        raise TypeError(f"give a {kind.__name__} or its fields ({', '.join(fields)}), not both")
    if isinstance(given, str):
        return given
    # Defaults are sent too: a field that names a union's member, such as a loss's `kind`, is one.
    return (given or kind.model_validate(fields)).model_dump_json()


def _changes(given: dict[str, Any]) -> str:
    """Return the merge patch that changes what is not None."""
    return json.dumps({field: value for field, value in given.items() if value is not None})


def _dry(is_dry_run: bool) -> Query:
    return {"dry_run": "true" if is_dry_run else None}


def _content_type(file: Path) -> str:
    """The server looks at the content; this only says which reader to try first."""
    known = {".csv": "text/csv", ".tsv": "text/csv", ".parquet": "application/vnd.apache.parquet"}
    return known.get(file.suffix.lower(), "application/octet-stream")


def _pages(transport: Transport, path: str, page_kind: type[Page[Item]], query: Query, limit: int | None) -> Iterator[Item]:
    left, after = math.inf if limit is None else limit, None
    while left > 0:
        page = transport.get(path, page_kind, {**query, "limit": int(min(left, PAGE_SIZE)), "after": after})
        yield from page.data
        left, after = left - len(page.data), page.next
        if after is None:
            return


def _watch(
    get: Callable[[float, int | None], Resource], is_over: Callable[[Resource], bool], timeout_s: float | None, every_s: float
) -> Iterator[Resource]:
    """Yield what `get(wait_s, since_version)` returns, until it is over."""
    deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
    seen = get(0, None)
    while True:
        yield seen
        if is_over(seen):
            return
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise WaitTimeout(f"not done within {timeout_s:g} s; it goes on")
        seen = _through_restarts(partial(get, min(every_s, left_s), seen.version))


def _through_restarts(read: Callable[[], Read]) -> Read:
    """Read, if need be again after a restart of the server; ServerUnreachable when it stays away."""
    give_up = time.monotonic() + RESTART_PATIENCE_S
    while True:
        try:
            return read()
        except ServerUnreachable:
            if time.monotonic() >= give_up:
                raise
            time.sleep(1)


def _last(resources: Iterator[Resource]) -> Resource:
    return deque(resources, maxlen=1).pop()


def _was_read(dataset: DatasetView) -> bool:
    return dataset.state != "processing"


def _is_terminal(job: JobView) -> bool:
    return job.is_terminal
