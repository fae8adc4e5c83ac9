"""From a file to a trained model without leaving the browser, while it happens."""

import re

from playwright.sync_api import expect

from tests.server import Server
from tests.tables_of_numbers import two_blobs
from tests.web.conftest import PageFactory, World


def test_a_table_is_uploaded_and_trained_on(open_page: PageFactory) -> None:
    page = open_page("/ui/datasets")

    page.locator("input[type=file]").set_input_files({"name": "blobs.csv", "mimeType": "text/csv", "buffer": two_blobs(250, 30)})
    expect(page.locator("datalist option")).to_have_count(4)
    page.get_by_label("Target").fill("event")
    page.get_by_role("button", name="Upload").click()
    expect(page).to_have_url(re.compile("/ui/datasets/ds_"))
    expect(page.get_by_role("heading", name="Which loss?", exact=True)).to_be_visible()
    expect(page.locator(".classes")).to_contain_text("220")
    for kind in ("balanced_cross_entropy", "focal", "ldam", "poly"):
        page.locator(f"#loss-{kind}").uncheck()
    page.get_by_label("τ").fill("0.5")
    page.get_by_label("Learner").select_option("linear")
    page.get_by_label("Most epochs").fill("4")
    page.get_by_role("button", name="Train each once").click()

    expect(page).to_have_url(re.compile(r"/ui/jobs\?filter=dataset_id"))
    expect(page.locator("[data-row]")).to_have_count(2)
    expect(page.locator(".state-succeeded[class~=state]")).to_have_count(2)
    expect(page.locator("[data-row]").first).to_contain_text("τ 0.5")
    page.locator(".row-link").first.click()
    page.get_by_role("link", name="Evaluation").click()
    expect(page.get_by_role("row", name=re.compile("^Average precision"))).to_contain_text("–")


def test_a_file_that_cannot_be_used_says_what_to_do(open_page: PageFactory) -> None:
    page = open_page("/ui/datasets")

    page.locator("input[type=file]").set_input_files({"name": "broken.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2\n3,4,5\n7,8\n"})
    page.get_by_role("button", name="Upload").click()

    expect(page.locator(".notice-bad")).to_contain_text("Line 3")


def test_a_file_without_a_target_is_given_one(open_page: PageFactory) -> None:
    page = open_page("/ui/datasets")

    page.locator("input[type=file]").set_input_files({"name": "bare.csv", "mimeType": "text/csv", "buffer": two_blobs(200, 20, seed=5)})
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="Which column is to be predicted?")).to_be_visible()
    page.get_by_label("Target").select_option("event")
    page.get_by_role("button", name="Use it").click()

    expect(page.get_by_role("button", name="Train each once")).to_be_visible()


def test_what_the_server_refuses_is_told_in_the_form(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/datasets/{world.dataset_id}")
    refusals: list[int] = []
    page.on("response", lambda response: refusals.append(response.status) if response.status >= 400 else None)

    for box in page.locator("[name=loss]").all()[1:]:
        box.uncheck()
    page.get_by_role("button", name="Compare them").click()
    expect(page.locator("[data-train] [data-flaw]")).to_contain_text("at least two losses")
    page.locator("[name=loss]").first.uncheck()
    page.get_by_role("button", name="Train each once").click()

    expect(page.locator("[data-train] [data-flaw]")).to_have_text("Tick at least one loss.")
    assert refusals == []


def test_a_job_s_page_follows_it_and_cancels_it(open_page: PageFactory, world: World, server: Server) -> None:
    endless = {"max_epochs": 100_000, "early_stopping": None}
    job_id = server.submit(world.dataset_id, name="endless", learner={"kind": "linear"}, training=endless)
    page = open_page(f"/ui/jobs/{job_id}")
    epoch = page.locator(".tile").first.locator(".big")

    expect(page.locator(".head-facts .state")).to_have_text("Running")
    expect(epoch).to_have_text(re.compile(r"^[\d,]+$"))
    before = epoch.inner_text()
    expect(epoch).not_to_have_text(before)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()

    expect(page.locator(".head-facts .state")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.locator(".course")).to_contain_text("Cancelling")


def test_a_job_s_log_is_there_to_read(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}")

    page.get_by_role("link", name="Log", exact=True).click()

    expect(page.get_by_role("log")).to_be_visible()
    assert page.locator(".log-line").count() > 0


def test_a_job_s_code_is_copied(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}/spec", permissions=["clipboard-read", "clipboard-write"])

    page.get_by_role("tab", name="Python").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.get_by_role("tabpanel", name="curl").get_by_role("button", name="Copy").click()

    expect(page.locator(".copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()").startswith("curl http://127.0.0.1:")


def test_rows_are_tested_on_that_belong_to_other_groups(open_page: PageFactory) -> None:
    page = open_page("/ui/datasets")
    header, *lines = two_blobs(250, 30, seed=9).decode().split()
    visits = "\n".join([f"{header},patient", *(f"{line},p{row % 50}" for row, line in enumerate(lines)), ""]).encode()

    page.locator("input[type=file]").set_input_files({"name": "visits.csv", "mimeType": "text/csv", "buffer": visits})
    page.get_by_label("Target").fill("event")
    page.get_by_text("How to read the file").click()
    page.get_by_label("Groups").fill("patient")
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("row", name=re.compile("^patient"))).to_contain_text("group")
    for kind in ("balanced_cross_entropy", "focal", "logit_adjusted", "ldam", "poly"):
        page.locator(f"#loss-{kind}").uncheck()
    page.get_by_label("Test rows").select_option("group")
    page.get_by_label("Most epochs").fill("2")
    page.get_by_role("button", name="Train each once").click()
    expect(page).to_have_url(re.compile("/ui/jobs/job_"))
    page.get_by_role("link", name="Specification").click()

    expect(page.get_by_role("row", name=re.compile("^column "))).to_contain_text("patient")
