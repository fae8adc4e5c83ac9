"""The routes of datasets."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from counterweight.contracts.base import Name
from counterweight.contracts.base import Request as Sent
from counterweight.contracts.datasets import DatasetOptions, DatasetPatch, DatasetView, NewDataset
from counterweight.contracts.deletions import Deletion
from counterweight.contracts.ids import new_id
from counterweight.contracts.pages import Page
from counterweight.crashpoints import crashpoint
from service.api import uploads
from service.api.answers import answer, once, respond
from service.api.bodies import MERGE_PATCH, StrictRoute, check_text, parse_json, read_json, validated
from service.api.deleting import delete
from service.api.dependencies import (
    After,
    DryRun,
    IdempotencyKey,
    Limit,
    Reader,
    ReadSession,
    Service,
    SinceVersion,
    Submitter,
    WaitS,
    WriteSession,
    now,
    service_of,
)
from service.api.etags import READ, TAGGED, IfMatch, IfNoneMatch, snapshot, tagged
from service.api.problems import declared, wrong_field
from service.api.reading import read
from service.domain.callers import Caller
from service.domain.cursors import cursor_after, id_before
from service.domain.errors import ServiceError
from service.persistence import datasets, deletion
from service.persistence.datasets import NewSource
from service.persistence.files import Incoming
from service.persistence.idempotency import Answer

router = APIRouter(prefix="/datasets", tags=["datasets"], route_class=StrictRoute)

_FILE = {"type": "string", "format": "binary"}
_OPTIONS = {"$ref": "#/components/schemas/DatasetOptions"}
_FORM = {"type": "object", "required": ["file"], "properties": {"file": _FILE, "name": {"type": "string"}, "options": _OPTIONS}}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": _FORM, "encoding": {"options": {"contentType": "application/json"}}},
        "application/json": {"schema": {"$ref": "#/components/schemas/NewDataset"}},
        "text/csv": {"schema": _FILE},
        "application/vnd.apache.parquet": {"schema": _FILE},
        "application/octet-stream": {"schema": _FILE},
    },
}


class _Described(Sent):
    """What comes with a file."""

    name: Name | None = None
    options: DatasetOptions = DatasetOptions()


@router.post(
    "",
    operation_id="datasets_upload",
    status_code=202,
    response_model=DatasetView,
    responses=declared(404, 409, 413, 415, 507)
    | {200: {"model": DatasetView, "description": "The project has this file, read in this way, already."}},
    openapi_extra={"requestBody": _BODY},
)
async def upload_dataset(
    request: Request,
    caller: Submitter,
    key: IdempotencyKey,
    name: Annotated[str | None, Query(description="With a body that is the file itself: what to call the dataset.")] = None,
    options: Annotated[str | None, Query(description="How to read the file, as JSON; a form's own field goes before it.")] = None,
) -> Response:
    """Upload a table, or an archive of images: as a form with a `file`, as a body that is the file, or as JSON naming a dataset to read
    in another way.

    The file is then read in the background: wait until `state` is `ready` or `failed`. The same bytes with the same options are
    kept once per project; a file that could not be read is tried again when it is sent again.
    """
    service = service_of(request)
    if uploads.content_type(request) == "application/json":
        wanted = validated(NewDataset, await read_json(request))
        return respond(await run_in_threadpool(_read_otherwise, service, caller, key, wanted))
    with service.files.receive() as incoming:
        limit = service.settings.max_upload_bytes
        texts = {field: text for field, text in (("name", name), ("options", options)) if text is not None}
        if uploads.content_type(request) == uploads.FORM:
            texts |= await uploads.receive_form(request, incoming, limit)
        else:
            await uploads.receive_raw(request, incoming, limit)
        described = _described(texts)
        called = described.name or texts.get("filename") or "dataset"
        return respond(await run_in_threadpool(_keep, service, caller, key, incoming, called, described.options))


@router.get("", operation_id="datasets_list", responses=declared())
def list_datasets(caller: Reader, session: ReadSession, limit: Limit = 50, after: After = None) -> Page[DatasetView]:
    """List the project's datasets, newest first."""
    found = datasets.page(session, caller.project_id, None if after is None else id_before(after, "ds"), limit + 1)
    more = cursor_after(found[limit - 1].id) if len(found) > limit else None
    return Page(data=[datasets.view(dataset) for dataset in found[:limit]], next=more)


@router.get("/{dataset_id}", operation_id="datasets_get", response_model=DatasetView, responses=declared(404) | READ)
async def get_dataset(
    request: Request, caller: Reader, dataset_id: str, known: IfNoneMatch, wait: WaitS = 0, since_version: SinceVersion = None
) -> Response:
    """Get a dataset; with `wait`, once its version is above `since_version`, at once when it is no longer being read."""
    service = service_of(request)

    def look() -> DatasetView:
        with service.database.read() as session:
            return datasets.view(datasets.get(session, caller.project_id, dataset_id))

    return await read(service, "dataset", caller, dataset_id, look, lambda view: view.state != "processing", known, since_version, wait)


@router.patch("/{dataset_id}", operation_id="datasets_update", response_model=DatasetView, responses=declared(404, 412, 413, 415) | TAGGED)
def update_dataset(
    patch: Annotated[DatasetPatch, Body(media_type=MERGE_PATCH)],
    caller: Submitter,
    session: WriteSession,
    dataset_id: str,
    expected: IfMatch,
) -> Response:
    """Change a dataset's name or labels. How its file was read cannot be changed: read the same bytes again with other options."""
    dataset = datasets.hold(session, caller.project_id, dataset_id, expected)
    datasets.edit(session, dataset, patch, now())
    return tagged(snapshot(datasets.view(dataset)))


@router.delete("/{dataset_id}", operation_id="datasets_delete", responses=declared(404, 409, 412))
def delete_dataset(request: Request, caller: Submitter, dataset_id: str, expected: IfMatch, dry_run: DryRun = False) -> Deletion:
    """Delete a dataset no job was made on, with its files; with `dry_run`, only say what would go.

    Bytes that another dataset reads in another way stay until that is deleted too.
    """
    return delete(
        service_of(request),
        "dataset",
        lambda session: datasets.hold(session, caller.project_id, dataset_id, expected),
        deletion.remains_of_dataset,
        deletion.delete_dataset,
        is_dry_run=dry_run,
    )


def _described(texts: dict[str, str]) -> _Described:
    if "name" in texts:
        check_text(texts["name"])
    return validated(_Described, {"name": texts.get("name"), "options": _options(texts.get("options", "{}"))})


def _options(text: str) -> Any:
    try:
        return parse_json(text.encode("utf-8", "surrogatepass"))
    except ServiceError as error:
        raise wrong_field("/options", "invalid", f'`options` is JSON, such as {{"target": "fraud"}}: {error.detail}{_cut(text)}') from None


def _cut(text: str) -> str:
    """Say how to send whole what curl's `-F` has cut at a semicolon, such as that of a delimiter."""
    return "; curl's -F ends a value at a semicolon: send it by --form-string" if text.endswith('"') and text.count('"') % 2 else ""


def _keep(service: Service, caller: Caller, key: str | None, incoming: Incoming, name: str, options: DatasetOptions) -> Answer:
    """Keep a received file as a dataset, unless the project has it already."""
    dataset_id = new_id("ds", now())
    source = NewSource(dataset_id, name, incoming.sha256, incoming.size, datasets.source_path(dataset_id), options)
    with service.database.write() as session:
        made = _record(session, caller, key, source, is_stored=False)
    if made is None:
        # Before the transaction that records it: syncing a large file takes longer than others should wait for the writer.
        incoming.keep(source.source_path)
        with service.database.write() as session:
            made = _record(session, caller, key, source, is_stored=True)
        crashpoint("upload.committed")
        assert made is not None
        if not made.location.endswith(dataset_id):
            # Somebody else sent the same file at the same moment, and was faster.
            service.files.path(source.source_path).unlink()
            service.files.path(source.source_path).parent.rmdir()
    return made


def _read_otherwise(service: Service, caller: Caller, key: str | None, wanted: NewDataset) -> Answer:
    with service.database.write() as session:
        origin = datasets.pin(session, caller.project_id, wanted.source_dataset_id)
        dataset_id, name = new_id("ds", now()), wanted.name or origin.name
        source = NewSource(dataset_id, name, origin.sha256, origin.bytes, origin.source_path, wanted.options)
        made = _record(session, caller, key, source, is_stored=True)
    assert made is not None
    return made


def _record(session: Session, caller: Caller, key: str | None, source: NewSource, *, is_stored: bool) -> Answer | None:
    """Answer with the dataset of these bytes and options; None when it is new and its bytes are not stored yet."""
    moment = now()

    def make() -> Answer | None:
        twin = datasets.find_twin(session, caller.project_id, source.sha256, source.options)
        if twin is None and is_stored:
            added = datasets.add(session, caller.project_id, source, caller.key_id, moment)
            if added is not None:
                return answer(202, datasets.view(added), f"/api/v1/datasets/{added.id}")
            twin = datasets.find_twin(session, caller.project_id, source.sha256, source.options)
        if twin is None:
            return None
        status = 200
        if twin.state == "failed":
            datasets.read_again(session, twin, moment)
            status = 202
        return answer(status, datasets.view(twin), f"/api/v1/datasets/{twin.id}")

    request = ["POST /datasets", source.sha256, source.options.model_dump(mode="json"), source.name]
    return once(session, caller.project_id, key, request, make, moment)
