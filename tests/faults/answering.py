"""Requests answered by a process of their own that may die of it; all such processes come from one that has the imports done."""

import asyncio
import contextlib
import json
import multiprocessing
import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from counterweight.crashpoints import VARIABLE
from counterweight.settings import ServerSettings
from service.api.app import make_app
from service.persistence.database import Database
from service.persistence.files import Files


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


@dataclass(frozen=True)
class Service:
    """Answers on a record and a folder, by one process a request."""

    database_url: str
    folder: Path

    @property
    def armed(self) -> Path:
        return self.folder / "armed"

    @property
    def files(self) -> Files:
        return Files(self.folder / "files")

    def ask(self, method: str, path: str, times: int = 1, **request: Any) -> list[Answer]:
        """Ask the same so many times; return the answers, which end where the process died by SIGKILL."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_answer, args=(theirs, self, method, path, times, request))
        process.start()
        theirs.close()
        answers: list[Answer] = []
        with contextlib.suppress(EOFError):
            while True:
                status, content = ours.recv()
                answers.append(Answer(status, json.loads(content or "null")))
        process.join()
        assert process.exitcode == (0 if len(answers) == times else -signal.SIGKILL)
        return answers


def _answer(connection: Connection, service: Service, method: str, path: str, times: int, request: dict[str, Any]) -> None:
    os.environ[VARIABLE] = str(service.armed)
    database = Database(service.database_url)
    settings = ServerSettings(home=service.folder, database_url=service.database_url)
    transport = httpx.ASGITransport(make_app(settings, database, service.files))

    async def answer() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as client:
            for _ in range(times):
                answered = await client.request(method, path, **request)
                connection.send((answered.status_code, answered.text))

    asyncio.run(answer())
    database.close()
