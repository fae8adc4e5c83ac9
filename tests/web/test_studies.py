"""A study's page while it runs: the leaderboard fills, the curves grow, and it is cancelled; and how a study is begun."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.server import Server
from tests.web.conftest import PageFactory, World
from tests.web.test_charts import saved

ENDLESS = {"max_epochs": 100_000, "early_stopping": None}


def study_of(server: Server, dataset_id: str, **base: object) -> str:
    losses = [{"kind": "cross_entropy"}, {"kind": "focal", "gamma": 1.0}, {"kind": "focal", "gamma": 3.0}]
    body = {"base": {"dataset_id": dataset_id, "learner": {"kind": "linear"}, **base}, "losses": losses, "seeds": [0, 1]}
    answer = server.client.post("/studies", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def lines(page: Page) -> list[str | None]:
    return [path.get_attribute("d") for path in page.locator("cw-study-curves .arm-face .arm-line").all()]


def test_a_study_s_page_follows_it_and_cancels_it(open_page: PageFactory, world: World, server: Server) -> None:
    study_id = study_of(server, world.dataset_id, training=ENDLESS)
    page = open_page(f"/ui/studies/{study_id}")
    progress = page.locator(".verdict progress")

    expect(page.locator(".head-facts .state")).to_have_text("Running")
    expect(page.locator(".leaderboard tbody tr")).to_have_count(3)
    expect(page.locator(".run.state-running").first).to_be_visible()
    expect(page.locator("cw-study-curves .arm-face").first).to_be_visible()
    expect(page.locator("cw-study-curves .chart-note")).to_contain_text("Live")
    before, drawn = float(progress.get_attribute("value") or 0), lines(page)
    page.wait_for_function("before => Number(document.querySelector('.verdict progress').value) > before", arg=before)
    page.wait_for_function("drawn => document.querySelector('cw-study-curves .arm-line').getAttribute('d') !== drawn", arg=drawn[0])
    expect(page.locator("cw-forest .chart-message")).to_contain_text("when all jobs have ended")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the study").click()

    expect(page.locator(".head-facts .state")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.locator(".run.state-cancelled")).to_have_count(6)
    expect(page.locator("cw-study-curves .chart-note")).not_to_contain_text("Live")
    expect(page.locator("cw-forest .chart-message")).to_contain_text("not compared")


def test_losses_are_compared_from_the_page_of_a_dataset(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/datasets/{world.dataset_id}")

    expect(page.locator("[data-jobs]")).to_have_text("6 losses × 5 runs: 30 jobs")
    for kind in ("balanced_cross_entropy", "logit_adjusted", "ldam", "poly"):
        page.locator(f"#loss-{kind}").uncheck()
    page.get_by_label("γ").fill("1.5")
    page.get_by_label("Runs of each").fill("3")
    expect(page.locator("[data-jobs]")).to_have_text("2 losses × 3 runs: 6 jobs")
    page.get_by_label("Compare by").select_option("mcc")
    page.get_by_label("Learner").select_option("linear")
    page.get_by_label("Most epochs").fill("3")
    page.get_by_label("Name").fill("from the page")
    page.get_by_role("button", name="Compare them").click()

    expect(page).to_have_url(re.compile("/ui/studies/stu_"))
    expect(page.get_by_role("heading", level=1)).to_have_text("from the page")
    expect(page.locator(".leaderboard tbody")).to_contain_text("focal(gamma=1.5)")
    expect(page.locator(".leaderboard .mean .value")).to_have_count(2)
    expect(page.locator(".tile", has_text="Compared by")).to_contain_text("Matthews correlation")
    expect(page.locator(".run.state-succeeded")).to_have_count(6)
    page.get_by_role("link", name="Jobs", exact=True).last.click()
    expect(page.locator("[data-row]")).to_have_count(6)
    page.locator(".row-link").first.click()
    page.get_by_role("link", name="Part of a study").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("from the page")
    page.get_by_role("link", name="Studies", exact=True).first.click()
    expect(page.locator("[data-row]", has_text="from the page")).to_be_visible()


def test_the_losses_of_the_explorer_are_compared(open_page: PageFactory, world: World, server: Server) -> None:
    page = open_page("/ui/losses#losses=cross_entropy,focal&gamma=0.5")

    page.locator("select[name=dataset]").select_option(world.dataset_id)
    page.get_by_role("button", name="Compare them").click()

    expect(page).to_have_url(re.compile("/ui/studies/stu_"))
    expect(page.locator(".leaderboard tbody")).to_contain_text("focal(gamma=0.5)")
    server.client.post(f"/studies/{page.url.split('/')[-1]}/cancel")


@pytest.fixture(scope="module")
def trained_id(world: World, server: Server) -> str:
    """A study that is over."""
    study_id = study_of(server, world.dataset_id, training={"max_epochs": 6})
    assert server.wait(f"/studies/{study_id}", lambda body: body["is_terminal"])["state"] == "succeeded"
    return study_id


def test_the_verdict_stands_above_the_leaderboard_and_the_differences(open_page: PageFactory, trained_id: str, server: Server) -> None:
    study = server.read(f"/studies/{trained_id}")
    page = open_page(f"/ui/studies/{trained_id}")
    forest = page.locator("cw-forest")

    assert " ".join(page.locator(".verdict p").all_inner_texts()) == study["verdict"]["sentence"]
    assert page.locator(".leaderboard tbody th").all_inner_texts() == [row["arm"] for row in study["leaderboard"]]
    for row, shown in zip(study["leaderboard"], page.locator(".leaderboard tbody tr").all(), strict=True):
        expect(shown.locator(".mean")).to_have_text(f"{row['mean']:.3f}")
        expect(shown.locator(".run")).to_have_count(2)
    expect(forest.locator(".forest-row")).to_have_count(2)
    forest.get_by_role("button", name="All pairs").click()
    expect(forest.locator(".forest-row")).to_have_count(3)
    told = [pair["difference"] for pair in study["comparisons"]]
    places = [float(dot.get_attribute("cx") or 0) for dot in forest.locator(".forest-dot").all()]
    assert sorted(range(3), key=told.__getitem__) == sorted(range(3), key=places.__getitem__)
    band, zero = forest.locator(".forest-band"), forest.locator(".forest-zero")
    left, width = (float(band.get_attribute(name) or 0) for name in ("x", "width"))
    assert left + width / 2 == pytest.approx(float(zero.get_attribute("x1") or 0), abs=1)
    forest.get_by_role("button", name="Table").click()
    expect(forest.locator("tbody tr")).to_have_count(3)


def test_the_differences_are_taken_home(open_page: PageFactory, trained_id: str) -> None:
    page = open_page(f"/ui/studies/{trained_id}")

    assert "a minus b" in saved(page, page.locator("cw-forest"), "CSV").read_text().splitlines()[0]
    assert saved(page, page.locator("cw-study-curves"), "SVG").read_text().startswith("<svg")
    assert saved(page, page.locator("cw-forest"), "PNG").read_bytes().startswith(b"\x89PNG")


def test_curves_of_arms_are_read_by_keys_and_pointer(open_page: PageFactory, trained_id: str, server: Server) -> None:
    arms = server.read(f"/studies/{trained_id}/metrics", names="validation/average_precision")["arms"]
    by_arm = {arm["arm"]: arm["series"][0]["points"] for arm in arms}
    page = open_page(f"/ui/studies/{trained_id}")
    curves = page.locator("cw-study-curves")

    for arm, points in by_arm.items():
        expect(curves.locator(".arm-legend button", has_text=arm)).to_contain_text(f"{points[-1][1]:.4f}")
    curves.locator(".chart-plot").focus()
    page.keyboard.press("Home")
    for arm, points in by_arm.items():
        expect(curves.locator(".arm-legend button", has_text=arm)).to_contain_text(f"{points[0][1]:.4f}")
    expect(curves.locator("[aria-live]")).to_contain_text("Epoch 1: ")
    page.keyboard.press("ArrowRight")
    expect(curves.locator("[aria-live]")).to_contain_text("Epoch 2: ")
    curves.get_by_label("Metric").select_option("train/loss")
    expect(curves.locator("svg[role=img]")).to_have_attribute("aria-label", "loss, train by epoch")
    curves.locator(".arm-legend button").first.click()
    expect(curves.locator(".arm-face")).to_have_count(2)
    curves.get_by_role("button", name="Bands").click()
    expect(curves.locator(".arm-band")).to_have_count(0)
    curves.get_by_role("button", name="Table").click()

    expect(curves.locator("tbody tr")).to_have_count(3 * 6)


def test_a_study_s_code_makes_it_again(open_page: PageFactory, trained_id: str) -> None:
    page = open_page(f"/ui/studies/{trained_id}/spec")

    page.get_by_role("tab", name="Command line").click()

    expect(page.get_by_role("tabpanel")).to_contain_text("counterweight studies compare --spec study.json --wait")
