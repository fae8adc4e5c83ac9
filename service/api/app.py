"""The application: its routes, its layers, and its description."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from counterweight.settings import ServerSettings
from service.api import (
    artifacts,
    datasets,
    events,
    jobs,
    keys,
    logs,
    losses,
    operating,
    probes,
    problems,
    projects,
    queue,
    studies,
    study_curves,
    trainer,
    workers,
)
from service.api.dependencies import Service
from service.api.describing import describe
from service.api.etags import Snapshots
from service.api.feed import Feed
from service.api.guard import Guard, authenticator
from service.api.held import Held
from service.api.journal import Journal
from service.api.notifier import Notifier
from service.api.submitting import Submissions
from service.api.waiting import Waiting
from service.persistence.database import Database
from service.persistence.files import Files
from service.web import pages, refusals, static_files

PREFIX = "/api/v1"


def make_app(settings: ServerSettings, database: Database, files: Files) -> FastAPI:
    """Return the application over one record. Running it starts the thread that watches for changes."""
    waiting, feed = Waiting(), Feed()
    notifier = Notifier(database, waiting, feed)
    service = Service(settings, database, files, waiting, feed, notifier, Snapshots(), Held(database.commits), Submissions(database))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        notifier.start()
        yield
        notifier.end()
        await run_in_threadpool(notifier.join)

    app = FastAPI(
        title="Counterweight",
        version=version("counterweight"),
        lifespan=lifespan,
        # The built-in pages load scripts from a CDN; the description has a route of its own.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(Journal, respond=refusals.respond),
            Middleware(Guard, host_names=settings.host_names, authenticate=authenticator(settings, database), held=service.held),
        ],
    )
    app.state.service = service
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]  # FastAPI's documented way.
    app.add_exception_handler(HTTPException, problems.http_error)
    # Tried in this order, each route of a router within a router twice over: what is asked for most comes first, and all at one level.
    for part in (
        jobs,
        events,
        datasets,
        studies,
        study_curves,
        operating,
        logs,
        artifacts,
        losses,
        queue,
        workers,
        projects,
        keys,
        trainer,
    ):
        app.include_router(part.router, prefix=PREFIX)
    for page in (probes, static_files, pages):
        app.include_router(page.router)
    return app
