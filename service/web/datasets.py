"""The pages of datasets: what was uploaded, what reading it found, and training on it."""

from fastapi import APIRouter, Request, Response

from service.api.bodies import StrictRoute
from service.api.dependencies import After, Reader, ReadSession, now
from service.domain import filters, sorting
from service.domain.cursors import cursor_after, id_before
from service.persistence import datasets, jobs
from service.web.templates import page

router = APIRouter(prefix="/ui/datasets", route_class=StrictRoute, include_in_schema=False)

ROWS = 50
JOBS = 8


@router.get("")
def show_datasets(request: Request, caller: Reader, session: ReadSession, after: After = None) -> Response:
    """The datasets, newest first, and the form to upload one."""
    found = datasets.page(session, caller.project_id, None if after is None else id_before(after, "ds"), ROWS + 1)
    more = cursor_after(found[ROWS - 1].id) if len(found) > ROWS else None
    return page(request, "datasets.html", datasets=[datasets.view(dataset) for dataset in found[:ROWS]], after=after, next=more)


@router.get("/{dataset_id}")
def show_dataset(request: Request, caller: Reader, session: ReadSession, dataset_id: str) -> Response:
    """One dataset: its classes, its columns, the jobs on it, and the form that submits more."""
    dataset = datasets.get(session, caller.project_id, dataset_id)
    on_it = filters.parse(f'dataset_id = "{dataset.id}"')
    latest, _ = jobs.page(session, caller.project_id, on_it, sorting.NEWEST_FIRST, None, JOBS)
    return page(request, "dataset.html", dataset=datasets.view(dataset), options=dataset.options, jobs=jobs.views(session, latest, now()))
