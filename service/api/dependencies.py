"""What routes ask for: the caller, a session, an idempotency key, the parts of the service."""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Header, Query, Request
from sqlalchemy.orm import Session

from counterweight.contracts.keys import Scope
from counterweight.settings import ServerSettings
from service.api.etags import Snapshots
from service.api.feed import Feed
from service.api.held import Held
from service.api.notifier import Notifier
from service.api.problems import wrong_field
from service.api.submitting import Submissions
from service.api.transactions import transaction
from service.api.waiting import Waiting
from service.domain.callers import Caller, Trainer
from service.domain.errors import Forbidden
from service.persistence.database import Database
from service.persistence.files import Files
from service.persistence.tables import DEFAULT_PROJECT


@dataclass(frozen=True)
class Service:
    """What an API process is made of."""

    settings: ServerSettings
    database: Database
    files: Files
    waiting: Waiting
    feed: Feed
    notifier: Notifier
    snapshots: Snapshots
    held: Held
    submissions: Submissions


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def read_session(request: Request) -> Iterator[Session]:
    with service_of(request).database.read() as session:
        yield session


def write_session(request: Request) -> Iterator[Session]:
    with transaction(service_of(request).database) as session:
        yield session


# `function`: the transaction is committed before the answer leaves. FastAPI's default would commit after it.
ReadSession = Annotated[Session, Depends(read_session, scope="function")]
WriteSession = Annotated[Session, Depends(write_session, scope="function")]


def needs(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """Return the dependency that lets in callers with `scope`, and tells the route who it is."""

    async def caller(request: Request) -> Caller:
        found: Caller | Trainer = request.state.caller
        if isinstance(found, Trainer) or not found.may(scope):
            raise Forbidden(f"this needs a key of scope {scope!r}; yours has {found.scope!r}")
        return found

    caller.scope = scope  # type: ignore[attr-defined]  # The test that walks the routes reads it.
    return caller


async def public() -> None:
    """Declares that a route needs no key."""


def is_operator(caller: Caller) -> bool:
    """Whether what concerns all projects is the caller's business: that of admins of the project that is there from the beginning."""
    return caller.may("admin") and caller.project_id == DEFAULT_PROJECT


async def operator(request: Request) -> Caller:
    """Let in callers whose business all projects are."""
    found: Caller | Trainer = request.state.caller
    if isinstance(found, Trainer) or not is_operator(found):
        raise Forbidden(f"this concerns all projects: it needs a key of scope 'admin' of the project {DEFAULT_PROJECT}")
    return found


operator.scope = "admin"  # type: ignore[attr-defined]  # As in `needs`.


async def trainer(request: Request) -> str:
    """Let in trainers, and no key, and tell the route whose mail theirs is."""
    found: Caller | Trainer = request.state.caller
    if not isinstance(found, Trainer):
        raise Forbidden("this is for trainers: it needs the token of an attempt")
    return found.channel


trainer.scope = Trainer.scope  # type: ignore[attr-defined]  # As in `needs`.

Reader = Annotated[Caller, Depends(needs("read"))]
Submitter = Annotated[Caller, Depends(needs("submit"))]
Admin = Annotated[Caller, Depends(needs("admin"))]
Operator = Annotated[Caller, Depends(operator)]
Channel = Annotated[str, Depends(trainer)]


def now() -> datetime:
    return datetime.now(UTC)


async def idempotency_key(
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="Makes the request safe to send again: a repeat is answered with the first answer."),
    ] = None,
) -> str | None:
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise wrong_field("/Idempotency-Key", "invalid", "an Idempotency-Key has 1 to 255 visible ASCII characters")
    return key


async def traceparent(
    value: Annotated[str | None, Header(alias="traceparent", description="W3C trace context, kept with the job.")] = None,
) -> str | None:
    """A malformed one is ignored, as the standard asks."""
    return value if value is not None and re.fullmatch(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", value) else None


IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]
TraceParent = Annotated[str | None, Depends(traceparent)]
Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
After = Annotated[str | None, Query(max_length=4000, description="The `next` of the page before.")]
WaitS = Annotated[float, Query(alias="wait", ge=0, le=60, description="Hold the answer for so many seconds until it changes.")]
SinceVersion = Annotated[int | None, Query(ge=0, le=2**31 - 1, description="With `wait`: the version already known.")]
DryRun = Annotated[bool, Query(description="Only say what would happen: nothing is changed.")]
