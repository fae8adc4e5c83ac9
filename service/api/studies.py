"""The routes of studies."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from counterweight.contracts.deletions import Deletion
from counterweight.contracts.ids import new_id
from counterweight.contracts.pages import Page
from counterweight.contracts.studies import StudyPatch, StudyPlan, StudySpec, StudySummary, StudyView
from service.api.answers import answer, once, respond
from service.api.bodies import MERGE_PATCH, StrictRoute
from service.api.deleting import delete
from service.api.dependencies import (
    After,
    DryRun,
    IdempotencyKey,
    Limit,
    Reader,
    ReadSession,
    SinceVersion,
    Submitter,
    TraceParent,
    WaitS,
    WriteSession,
    now,
    service_of,
)
from service.api.etags import READ, TAGGED, IfMatch, IfNoneMatch, snapshot, tagged
from service.api.problems import declared
from service.api.reading import read
from service.domain import studies as rules
from service.domain.cursors import cursor_after, id_before
from service.domain.studies import Plan
from service.persistence import deletion, planning, recipes, studies
from service.persistence.idempotency import Answer
from service.persistence.tables import Dataset

router = APIRouter(prefix="/studies", tags=["studies"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="studies_create",
    status_code=201,
    response_model=StudyView,
    responses=declared(404, 409, 413, 415, 507) | {200: {"model": StudyPlan, "description": "With `dry_run`: what would become of it."}},
)
def create_study(
    spec: StudySpec, caller: Submitter, session: WriteSession, key: IdempotencyKey, trace: TraceParent, dry_run: DryRun = False
) -> Response:
    """Compare losses: queue a job for each loss (times each varied setting) and each seed, on identical splits.

    All jobs are made in one transaction. When the last has ended their test rows decide; `verdict` says what can be said. With
    `dry_run` all is checked and settled, and nothing is made.
    """
    moment = now()

    def settle() -> tuple[Dataset, Plan]:
        dataset, facts, choices = recipes.ingredients(session, caller.project_id, spec.base.dataset_id, spec.base.test_dataset_id, "/base")
        return dataset, rules.settle(spec, facts, choices)

    def make() -> Answer:
        dataset, plan = settle()
        study = studies.add(session, new_id("stu", moment), dataset, plan, traceparent=trace, created_by=caller.key_id, now=moment)
        return answer(201, studies.view(session, study), f"/api/v1/studies/{study.id}")

    if dry_run:
        return Response(planning.plan_study(session, *settle(), moment).model_dump_json(), 200, media_type="application/json")
    made = once(session, caller.project_id, key, ["POST /studies", spec.model_dump(mode="json")], make, moment)
    assert made is not None
    return respond(made)


@router.get("", operation_id="studies_list", responses=declared())
def list_studies(caller: Reader, session: ReadSession, limit: Limit = 50, after: After = None) -> Page[StudySummary]:
    """List the project's studies, newest first, without their leaderboards."""
    found = studies.page(session, caller.project_id, None if after is None else id_before(after, "stu"), limit + 1)
    more = cursor_after(found[limit - 1].id) if len(found) > limit else None
    return Page(data=studies.summaries(session, found[:limit]), next=more)


@router.get("/{study_id}", operation_id="studies_get", response_model=StudyView, responses=declared(404) | READ)
async def get_study(
    request: Request, caller: Reader, study_id: str, known: IfNoneMatch, wait: WaitS = 0, since_version: SinceVersion = None
) -> Response:
    """Get a study; with `wait`, once its version is above `since_version` (each job that ends moves it), at once when it is over."""
    service = service_of(request)

    def look() -> StudyView:
        with service.database.read() as session:
            return studies.view(session, studies.get(session, caller.project_id, study_id))

    return await read(service, "study", caller, study_id, look, lambda view: view.is_terminal, known, since_version, wait)


@router.patch("/{study_id}", operation_id="studies_update", response_model=StudyView, responses=declared(404, 412, 413, 415) | TAGGED)
def update_study(
    patch: Annotated[StudyPatch, Body(media_type=MERGE_PATCH)], caller: Submitter, session: WriteSession, study_id: str, expected: IfMatch
) -> Response:
    """Change a study's name or labels."""
    study = studies.hold(session, caller.project_id, study_id, expected)
    studies.edit(session, study, patch, now())
    return tagged(snapshot(studies.view(session, study)))


@router.delete("/{study_id}", operation_id="studies_delete", responses=declared(404, 409, 412))
def delete_study(request: Request, caller: Submitter, study_id: str, expected: IfMatch, dry_run: DryRun = False) -> Deletion:
    """Delete a study that is over, with its jobs and all that they made; with `dry_run`, only say what would go."""
    return delete(
        service_of(request),
        "study",
        lambda session: studies.hold(session, caller.project_id, study_id, expected),
        deletion.remains_of_study,
        deletion.delete_study,
        is_dry_run=dry_run,
    )


@router.post("/{study_id}/retry", operation_id="studies_retry", status_code=202, responses=declared(404, 409, 507))
def retry_study(caller: Submitter, session: WriteSession, study_id: str) -> StudyView:
    """Train anew the jobs of a study that failed or were cancelled, with the same seeds, and compare again; the others are kept."""
    return studies.view(session, studies.retry(session, caller.project_id, study_id, now()))


@router.post("/{study_id}/pause", operation_id="studies_pause", status_code=202, responses=declared(404, 409))
def pause_study(caller: Submitter, session: WriteSession, study_id: str) -> StudyView:
    """Take the study's queued jobs out of the queue at once, and tell the workers of running ones to keep their places and leave them."""
    return studies.view(session, studies.pause(session, caller.project_id, study_id, now()))


@router.post("/{study_id}/resume", operation_id="studies_resume", status_code=202, responses=declared(404, 409))
def resume_study(caller: Submitter, session: WriteSession, study_id: str) -> StudyView:
    """Put the study's paused jobs back in their places in the queue; each goes on from its last checkpoint."""
    return studies.view(session, studies.resume(session, caller.project_id, study_id, now()))


@router.post("/{study_id}/cancel", operation_id="studies_cancel", status_code=202, responses=declared(404, 409))
def cancel_study(caller: Submitter, session: WriteSession, study_id: str) -> StudyView:
    """End the study's queued jobs at once, and tell the workers of running ones to stop; the study ends with the last of them."""
    return studies.view(session, studies.cancel(session, caller.project_id, study_id, now()))
