"""The dashboard in a real browser, a file's tests sharing one, on a real server that all share."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.conftest import fresh_database
from tests.server import Server
from tests.tables_of_numbers import two_blobs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-gpu"]
WAIT_MS = 20_000

WATCH = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI} in ${event.sourceFile}:${event.lineNumber}`));
"""

PageFactory = Callable[..., Page]


# Not of the session: Playwright keeps an event loop in this thread while it runs, and other files' tests want to run theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: `apt-get install chromium` brings one")
    expect.set_options(timeout=WAIT_MS)
    # Chromium's sandbox cannot be built by root.
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *sandbox])
        yield running
        running.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("web")
    with fresh_database("sqlite", folder, request) as url, Server(folder / "home", database_url=url, workers="1", devices="cpu") as running:
        yield running


@dataclass
class Watched:
    """What a page did that none of ours may do."""

    server_url: str
    faults: list[str]

    def watch(self, context: BrowserContext) -> None:
        context.add_init_script(WATCH)
        context.on("console", lambda message: self._add(message.type in ("error", "warning"), f"console: {message.text}"))
        context.on("weberror", lambda error: self.faults.append(f"uncaught: {error.error}"))
        context.on("request", lambda request: self._add(not request.url.startswith((self.server_url, "data:")), f"foreign: {request.url}"))

    def _add(self, is_fault: bool, fault: str) -> None:
        if is_fault:
            self.faults.append(fault)


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[PageFactory]:
    """Open a page of the server, in a browser profile of its own. In the end none may have complained, or asked elsewhere."""
    with_faults = Watched(server.url, [])
    contexts: list[BrowserContext] = []

    def opened(path: str, **options: Any) -> Page:
        context = browser.new_context(base_url=server.url, **({"viewport": {"width": 1280, "height": 800}} | options))
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        with_faults.watch(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert with_faults.faults == []


@dataclass(frozen=True)
class World:
    """What is there to look at."""

    dataset_id: str
    unread_id: str
    job_id: str
    several_id: str
    failed_id: str
    study_id: str

    @property
    def pages(self) -> list[str]:
        jobs = [f"/ui/jobs/{job_id}{part}" for job_id in (self.job_id, self.several_id) for part in ("", "/evaluation", "/spec", "/log")]
        datasets = [f"/ui/datasets/{dataset_id}" for dataset_id in (self.dataset_id, self.unread_id)]
        return [
            "/ui/jobs",
            "/ui/jobs?filter=nonsense",
            "/ui/studies",
            f"/ui/studies/{self.study_id}",
            f"/ui/studies/{self.study_id}/spec",
            "/ui/datasets",
            "/ui/losses",
            "/ui/workers",
            "/ui/sign-in",
            *datasets,
            *jobs,
            f"/ui/jobs/{self.failed_id}",
        ]


@pytest.fixture(scope="session")
def world(server: Server) -> World:
    quick = {"learner": {"kind": "linear"}, "training": {"max_epochs": 3}}
    dataset_id = server.upload(two_blobs(300, 40), target="event")
    by_colour = server.upload(two_blobs(300, 40), target="colour")
    broken = server.client.post("/datasets", files={"file": ("broken.csv", b"a,b\n1,2\n3,4,5\n")}).json()["id"]
    told = {"permutation_importance": True, "subgroups": ["colour", "a"]}
    job_id = server.submit(dataset_id, loss={"kind": "focal"}, labels={"team": "risk"}, evaluation=told, **quick)
    several_id = server.submit(by_colour, loss={"kind": "balanced_cross_entropy"}, evaluation={"subgroups": ["event"]}, **quick)
    for each in (job_id, several_id):
        server.finish(each)
    endless = {"max_epochs": 100_000, "early_stopping": None}
    failed_id = server.submit(dataset_id, name="ill-fated", learner={"kind": "linear"}, training=endless, limits={"max_attempts": 1})
    server.wait(f"/jobs/{failed_id}", lambda body: body["progress"] is not None)
    server.trainers()[0].kill()
    assert server.finish(failed_id)["state"] == "failed"
    server.wait(f"/datasets/{broken}", lambda body: body["state"] != "processing")
    losses = [{"kind": "cross_entropy"}, {"kind": "focal", "gamma": 1.0}, {"kind": "focal", "gamma": 3.0}]
    study = {"name": "which loss", "base": {"dataset_id": dataset_id, **quick}, "losses": losses, "seeds": [0, 1]}
    study_id = server.client.post("/studies", json=study).json()["id"]
    server.wait(f"/studies/{study_id}", lambda body: body["is_terminal"])
    return World(dataset_id, broken, job_id, several_id, failed_id, study_id)
