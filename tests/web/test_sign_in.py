"""The way in where keys exist, on each database."""

import re
import secrets
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.conftest import BACKENDS, fresh_database
from tests.server import Server
from tests.tables_of_numbers import two_blobs
from tests.web.conftest import PageFactory

KEY = secrets.token_hex(32)


@pytest.fixture(scope="module", params=BACKENDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a key; it shadows the open one of the other tests."""
    folder = tmp_path_factory.mktemp("keyed")
    with (
        fresh_database(request.param, folder, request) as url,
        Server(folder / "home", database_url=url, workers="1", devices="cpu", bootstrap_key=KEY) as running,
    ):
        yield running


def test_a_key_lets_a_browser_in_until_it_signs_out(open_page: PageFactory) -> None:
    page = open_page("/ui/datasets")

    expect(page).to_have_url(re.compile("/ui/sign-in"))
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/ui/datasets$"))
    assert page.evaluate("document.cookie") == ""
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("heading", name="No data yet")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 720})
    page.locator("input[type=file]").set_input_files({"name": "blobs.csv", "mimeType": "text/csv", "buffer": two_blobs(200, 20)})
    page.get_by_label("Target").fill("event")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("button", name="Train each once")).to_be_visible()
    for box in page.locator("[name=loss]").all()[1:]:
        box.uncheck()
    page.get_by_label("Learner").select_option("linear")
    page.get_by_label("Most epochs").fill("2")
    page.get_by_role("button", name="Train each once").click()
    expect(page).to_have_url(re.compile("/ui/jobs/job_"))
    expect(page.locator(".head-facts .state")).to_have_text("Succeeded")
    page.get_by_role("button", name="Sign out").click()

    expect(page).to_have_url(re.compile("/ui/sign-in$"))
    page.goto("/ui/jobs")
    expect(page).to_have_url(re.compile("/ui/sign-in"))
