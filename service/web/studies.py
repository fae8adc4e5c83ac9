"""The pages of studies: the table, and each study's leaderboard, differences, verdict and curves."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from counterweight.contracts.studies import Arm, LeaderboardRow
from service.api.bodies import StrictRoute
from service.api.dependencies import After, Reader, ReadSession, Submitter, WriteSession, now
from service.domain.cursors import cursor_after, id_before
from service.persistence import datasets, studies, study_runs
from service.persistence.study_runs import Run
from service.web.formats import hyphened
from service.web.samples import samples_of_study
from service.web.templates import address, page

router = APIRouter(prefix="/ui/studies", route_class=StrictRoute, include_in_schema=False)

ROWS, ARMS, SQUARES = 50, 100, 12
"""So many studies, arms of one study, and jobs of one arm are shown."""

SHADES = 4
"""Of arms of the same loss."""


@dataclass(frozen=True)
class Line:
    """An arm on the leaderboard: its row, its look, its runs, and where its figures lie on the scale all arms share, from 0 to 100."""

    row: LeaderboardRow
    look: str
    runs: Sequence[Run]
    mean: float | None
    span: tuple[float, float] | None
    ticks: list[float]


@router.get("")
def show_studies(request: Request, caller: Reader, session: ReadSession, after: After = None) -> Response:
    """The studies, newest first."""
    found = studies.page(session, caller.project_id, None if after is None else id_before(after, "stu"), ROWS + 1)
    shown = studies.summaries(session, found[:ROWS])
    return page(
        request,
        "studies.html",
        studies=shown,
        dataset_names=datasets.names(session, {study.dataset.id for study in shown}),
        after=after,
        next=cursor_after(found[ROWS - 1].id) if len(found) > ROWS else None,
    )


@router.get("/{study_id}")
def show_study(request: Request, caller: Reader, session: ReadSession, study_id: str) -> Response:
    """How the arms of a study compare, while they train and afterwards."""
    study = studies.get(session, caller.project_id, study_id)
    view, runs = studies.view(session, study), study_runs.read(session, study)
    rows = view.leaderboard[:ARMS]
    ends = ends_of(rows, [run for row in rows for run in runs.by_arm[row.arm]])
    return page(
        request,
        "study.html",
        study=view,
        dataset=datasets.view(datasets.get(session, caller.project_id, study.dataset_id)),
        ends=ends,
        lines=list(lines_of(rows, looks_of(study.arms), runs.by_arm, ends)),
        progress=runs.fraction,
        started_at=runs.started_at,
        squares=SQUARES,
    )


@router.get("/{study_id}/spec")
def show_spec(request: Request, caller: Reader, session: ReadSession, study_id: str) -> Response:
    """What was asked for, as code."""
    study = studies.get(session, caller.project_id, study_id)
    return page(
        request,
        "study_spec.html",
        study=studies.view(session, study),
        dataset=datasets.view(datasets.get(session, caller.project_id, study.dataset_id)),
        samples=samples_of_study(study.spec, address(request)),
    )


@router.post("/{study_id}/cancel")
def cancel_study(caller: Submitter, session: WriteSession, study_id: str) -> Response:
    """Cancel all its jobs, and show the study again."""
    studies.cancel(session, caller.project_id, study_id, now())
    return RedirectResponse(f"/ui/studies/{study_id}", 303)


@router.post("/{study_id}/pause")
def pause_study(caller: Submitter, session: WriteSession, study_id: str) -> Response:
    """Pause all its jobs, and show the study again."""
    studies.pause(session, caller.project_id, study_id, now())
    return RedirectResponse(f"/ui/studies/{study_id}", 303)


@router.post("/{study_id}/resume")
def resume_study(caller: Submitter, session: WriteSession, study_id: str) -> Response:
    """Resume all its paused jobs, and show the study again."""
    studies.resume(session, caller.project_id, study_id, now())
    return RedirectResponse(f"/ui/studies/{study_id}", 303)


def ends_of(rows: Sequence[LeaderboardRow], runs: Sequence[Run]) -> tuple[float, float] | None:
    """Return where the scale of a leaderboard begins and ends: at the outermost run or end of an interval; None without any."""
    figures = [figure for row in rows for figure in (row.mean, row.low, row.high) if figure is not None]
    figures += [run.value for run in runs if run.value is not None]
    return (min(figures), max(figures)) if figures else None


def looks_of(arms: Sequence[Arm]) -> dict[str, str]:
    """Return the classes of each arm: the colour of its loss, and a shade of its own among arms of the same loss; as `charts/arms.js`."""
    seen: Counter[str] = Counter()
    looks = {}
    for arm in arms:
        looks[arm.arm] = f"arm arm-{seen[arm.loss.kind] % SHADES} loss-{hyphened(arm.loss.kind)}"
        seen[arm.loss.kind] += 1
    return looks


def lines_of(
    rows: Sequence[LeaderboardRow], looks: Mapping[str, str], runs: Mapping[str, list[Run]], ends: tuple[float, float] | None
) -> Iterator[Line]:
    low, high = ends or (0.0, 1.0)

    def place(value: float) -> float:
        # All arms alike: in the middle.
        return 50.0 if high == low else 100 * (value - low) / (high - low)

    for row in rows:
        own = runs[row.arm]
        ticks = [place(run.value) for run in own if run.value is not None]
        span = None if row.low is None or row.high is None else (place(row.low), place(row.high))
        yield Line(row, looks[row.arm], own, None if row.mean is None else place(row.mean), span, ticks)
