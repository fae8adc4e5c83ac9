"""Studies: losses compared on identical splits."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from counterweight._resources.asking import changes, document, dry, pages
from counterweight._resources.following import follow
from counterweight._resources.waiting import LONGEST_HOLD_S, is_over, last, watch
from counterweight._transport import Transport
from counterweight.contracts.deletions import Deletion
from counterweight.contracts.events import EventView, ProgressView
from counterweight.contracts.pages import Page
from counterweight.contracts.studies import StudyPlan, StudySpec, StudySummary, StudyView
from counterweight.contracts.study_curves import StudyCurves


class Studies:
    """Which loss should I use? Jobs with several losses and seeds on identical splits, and what comparing them says."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, spec: StudySpec | str | None = None, **fields: Any) -> StudyView:
        """Queue the jobs of a study, given as a StudySpec, as its JSON for the server to judge, or as fields.

        Such as `base={"dataset_id": …}, losses=[CrossEntropy(), Focal(gamma=2)], seeds=[0, 1, 2, 3, 4]`.
        """
        return self._transport.post("/studies", StudyView, document(spec, StudySpec, fields))

    def plan(self, spec: StudySpec | str | None = None, **fields: Any) -> StudyPlan:
        """Check a study as `create` would, and say what it may need and what would keep it waiting; nothing is queued."""
        return self._transport.post("/studies", StudyPlan, document(spec, StudySpec, fields), dry(True))

    def get(self, study_id: str, *, wait_s: float = 0, since_version: int | None = None) -> StudyView:
        """Read a study; with `wait_s` (at most 60) once it is newer than `since_version`, or as it is when the wait ends."""
        return self._transport.get_held(f"/studies/{study_id}", StudyView, wait_s, since_version)

    def list(self, *, limit: int | None = None) -> Iterator[StudySummary]:
        """Yield studies, newest first, without their leaderboards; pages are fetched as they are needed."""
        return pages(self._transport, "/studies", Page[StudySummary], {}, limit)

    def wait(self, study_id: str, timeout_s: float | None = None) -> StudyView:
        """Return the study once it is over: `succeeded` with a verdict, `failed` or `cancelled`. WaitTimeout when that takes too long."""
        return last(self.watch(study_id, timeout_s))

    def watch(self, study_id: str, timeout_s: float | None = None, every_s: float = LONGEST_HOLD_S) -> Iterator[StudyView]:
        """Yield the study now, each time one of its jobs has ended, and every `every_s` besides, until it is over."""
        return watch(partial(self._read, study_id), is_over, timeout_s, every_s)

    def _read(self, study_id: str, wait_s: float, since_version: int | None) -> StudyView:
        return self.get(study_id, wait_s=wait_s, since_version=since_version)

    def events(self, study_id: str, *, after: int | None = None) -> Iterator[StudyView | EventView | ProgressView]:
        """Yield what happens to a study, as it does, until it is over: first the study as it is, again after a break, then its events;
        with `after`, all events after the one of that id."""
        return follow(self._transport, f"/studies/{study_id}/events", StudyView, after)

    def cancel(self, study_id: str) -> StudyView:
        """Ask for the end of all jobs of a study; `wait` tells when it has come."""
        return self._transport.post(f"/studies/{study_id}/cancel", StudyView)

    def pause(self, study_id: str) -> StudyView:
        """Ask the workers of all jobs of a study to keep the place and free the device; queued jobs leave the queue at once."""
        return self._transport.post(f"/studies/{study_id}/pause", StudyView)

    def resume(self, study_id: str) -> StudyView:
        """Put all paused jobs of a study back in the queue, to go on from the last checkpoint."""
        return self._transport.post(f"/studies/{study_id}/resume", StudyView)

    def retry(self, study_id: str) -> StudyView:
        """Train anew what failed or was cancelled of a study that is over, and compare again."""
        return self._transport.post(f"/studies/{study_id}/retry", StudyView)

    def update(
        self, study_id: str, *, name: str | None = None, labels: dict[str, str | None] | None = None, version: int | None = None
    ) -> StudyView:
        """Change what is given; a label that is None goes. With `version`, Conflict when the study has another one by now."""
        return self._transport.patch(f"/studies/{study_id}", StudyView, changes({"name": name, "labels": labels}), version)

    def metrics(self, study_id: str, *, names: str | None = None, points: int = 200) -> StudyCurves:
        """Return what was recorded while training: each metric by arm and epoch, over the arm's runs; `names` are comma-separated."""
        return self._transport.get(f"/studies/{study_id}/metrics", StudyCurves, {"names": names, "points": points})

    def delete(self, study_id: str, *, dry_run: bool = False, version: int | None = None) -> Deletion:
        """Delete a study that is over, with its jobs and all they made; with `dry_run`, only say what would go."""
        return self._transport.delete(f"/studies/{study_id}", Deletion, dry(dry_run), version)
