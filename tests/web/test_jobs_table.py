"""The table of jobs: filtered, sorted, walked with keys, and its state in the address."""

import re
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import Page, Route, expect

from tests.server import Server
from tests.web.conftest import PageFactory, World


def _query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.usefixtures("world")
def test_typing_a_filter_narrows_the_table_and_stands_in_the_address(open_page: PageFactory) -> None:
    page = open_page("/ui/jobs")
    rows = page.locator("[data-row]")
    everything = rows.count()

    page.keyboard.press("/")
    page.keyboard.type('labels.team = risk AND metrics."test/average_precision" >= 0')

    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("filter=labels"))
    page.reload()
    expect(rows).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_have_value('labels.team = risk AND metrics."test/average_precision" >= 0')
    page.go_back()
    expect(rows).to_have_count(everything)


@pytest.mark.usefixtures("world")
def test_a_filter_is_kept_though_the_unfiltered_table_is_being_read_again(open_page: PageFactory) -> None:
    page = open_page("/ui/jobs")
    late: list[Route] = []

    def hold_back(route: Route) -> None:
        late.append(route) if "filter" not in route.request.url else route.continue_()

    page.route("**/ui/jobs*", hold_back)
    with page.expect_request("**/ui/jobs*"):
        pass
    page.get_by_role("searchbox").fill("labels.team = risk")
    expect(page.locator("[data-row]")).to_have_count(1)
    for route in late:
        with suppress(PlaywrightError):  # It was not waited for.
            route.continue_()

    with page.expect_response(re.compile("filter=labels")):
        pass
    expect(page.locator("[data-row]")).to_have_count(1)


@pytest.mark.usefixtures("world")
def test_a_filter_that_cannot_be_read_says_where(open_page: PageFactory) -> None:
    page = open_page("/ui/jobs")

    page.get_by_role("searchbox").fill("state = runing")

    expect(page.get_by_role("status")).to_contain_text("column 9")
    page.get_by_role("searchbox").fill("state = failed")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator("#flaw")).to_be_empty()


@pytest.mark.usefixtures("world")
def test_a_click_on_a_column_sorts_and_another_turns_it_round(open_page: PageFactory) -> None:
    page = open_page("/ui/jobs?filter=learner.kind+%3D+linear")

    page.get_by_role("link", name="Job", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Job")
    names = page.locator(".row-link").all_inner_texts()
    page.get_by_role("link", name="Job", exact=True).click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Job")

    assert names == sorted(names)
    assert page.locator(".row-link").all_inner_texts() == names[::-1]
    assert _query(page) == {"filter": ["learner.kind = linear"], "sort": ["-name"]}


@pytest.mark.usefixtures("world")
def test_rows_are_walked_and_opened_with_keys(open_page: PageFactory) -> None:
    page = open_page("/ui/jobs")
    first, second = page.locator(".row-link").all()[:2]

    page.keyboard.press("j")
    expect(first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(second).to_be_focused()
    target = str(second.get_attribute("href"))
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(re.escape(target)))


def test_help_opens_with_a_key_and_closes_with_another(open_page: PageFactory) -> None:
    page = open_page("/ui/losses")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("d")

    expect(page).to_have_url(re.compile("/ui/datasets$"))


def test_a_job_submitted_elsewhere_appears_by_itself(open_page: PageFactory, world: World, server: Server) -> None:
    page = open_page("/ui/jobs")
    page.keyboard.press("j")
    focused = page.locator(".row-link").first

    job_id = server.submit(world.dataset_id, name="from elsewhere", learner={"kind": "linear"}, training={"max_epochs": 2})

    row = page.locator(f"#{job_id}")
    expect(row).to_contain_text("Succeeded")
    expect(row).to_contain_text("from elsewhere")
    # What was focused before the table renewed itself still is.
    assert focused.get_attribute("href") == f"/ui/jobs/{job_id}"
    expect(page.locator(".row-link").nth(1)).to_be_focused()
