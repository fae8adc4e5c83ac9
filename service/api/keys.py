"""The routes of API keys."""

from fastapi import APIRouter, Response

from counterweight.contracts.keys import KeyView, NewKey, NewKeyView
from counterweight.contracts.pages import Page
from service.api.answers import once
from service.api.bodies import StrictRoute
from service.api.dependencies import Admin, After, IdempotencyKey, Limit, ReadSession, WriteSession, is_operator, now
from service.api.problems import declared
from service.domain.cursors import cursor_after, id_before
from service.domain.errors import Forbidden, Invalid
from service.persistence import idempotency, keys, projects
from service.persistence.idempotency import Answer

router = APIRouter(prefix="/api-keys", tags=["api-keys"], route_class=StrictRoute)


@router.post("", operation_id="api_keys_create", status_code=201, responses=declared(404, 409, 413, 415))
def create_key(new: NewKey, caller: Admin, session: WriteSession, idempotency_key: IdempotencyKey, response: Response) -> NewKeyView:
    """Make an API key. Its secret is in this answer and nowhere else. From the first key on, every request needs one."""
    if new.scope != "admin" and not keys.any_made(session):
        raise Invalid.at(
            "/scope",
            "first_key_not_admin",
            "the first key must have scope `admin`: from then on every request needs a key, and only an admin's can make others",
        )
    if new.project not in (None, caller.project_id) and not is_operator(caller):
        raise Forbidden(f"a key of {new.project} is made with an admin's key of that project, or of the default one")
    project_id = projects.get(session, new.project or caller.project_id).id
    moment = now()
    made: list[NewKeyView] = []

    def make() -> Answer:
        key, secret = keys.add(session, project_id, new, moment)
        made.append(NewKeyView(**keys.view(key, moment).model_dump(), key=secret))
        return Answer(201, f"/api/v1/api-keys/{key.id}", idempotency.SECRET)

    # A repeat under the same idempotency key is refused in here: the secret is not kept and cannot be told again.
    told = once(session, caller.project_id, idempotency_key, ["POST /api-keys", new.model_dump(mode="json")], make, moment)
    assert told is not None
    response.headers["Location"] = told.location
    return made[0]


@router.get("", operation_id="api_keys_list", responses=declared())
def list_keys(caller: Admin, session: ReadSession, limit: Limit = 50, after: After = None) -> Page[KeyView]:
    """List the project's API keys, newest first; the revoked ones too."""
    found = keys.page(session, caller.project_id, None if after is None else id_before(after, "key"), limit + 1)
    more = cursor_after(found[limit - 1].id) if len(found) > limit else None
    moment = now()
    return Page(data=[keys.view(key, moment) for key in found[:limit]], next=more)


@router.delete("/{key_id}", operation_id="api_keys_revoke", responses=declared(404))
def revoke_key(caller: Admin, session: WriteSession, key_id: str) -> KeyView:
    """Revoke an API key: the next request that bears it is refused. An admin of the default project may revoke any project's."""
    moment = now()
    return keys.view(keys.revoke(session, None if is_operator(caller) else caller.project_id, key_id, moment), moment)
