"""The evaluation's page below its charts: what it tells of columns, subgroups, and labels that may be wrong."""

import re
from typing import Any

from playwright.sync_api import expect

from tests.server import Server
from tests.web.conftest import PageFactory, World


def evaluation(server: Server, job_id: str) -> dict[str, Any]:
    body: dict[str, Any] = server.client.get(f"/jobs/{job_id}/evaluation").json()
    return body


def test_columns_stand_by_their_importance_with_a_bar(open_page: PageFactory, world: World, server: Server) -> None:
    columns = evaluation(server, world.job_id)["permutation_importance"]["columns"]

    table = open_page(f"/ui/jobs/{world.job_id}/evaluation").get_by_role("region", name="Importance of columns")

    expect(table.locator("tbody tr")).to_have_count(3)
    for place, column in enumerate(columns):
        expect(table.locator("tbody tr").nth(place)).to_contain_text(column["column"])
        expect(table.locator("tbody tr").nth(place)).to_contain_text(f"{column['mean']:.3f}" if abs(column["mean"]) >= 0.001 else "±")
    bars = [bar.get_attribute("d") or "" for bar in table.locator(".whisker-span").all()]
    ends = [float(re.split("[MH ]", bar)[-1]) for bar in bars]
    assert ends == sorted(ends, reverse=True)
    assert 0 <= min(ends) <= max(ends) <= 100


def test_subgroups_stand_beside_all_rows_and_open_for_validation_rows(open_page: PageFactory, world: World, server: Server) -> None:
    (colours, _) = evaluation(server, world.job_id)["subgroups"]
    page = open_page(f"/ui/jobs/{world.job_id}/evaluation")

    test = page.get_by_role("region", name="By colour on test rows").locator("tbody tr")
    expect(test).to_have_count(1 + sum("test" in group["splits"] for group in colours["groups"]))
    expect(test.first).to_contain_text("all rows")
    for place, group in enumerate(colours["groups"]):
        expect(test.nth(place + 1)).to_contain_text(group["label"])
        expect(test.nth(place + 1)).to_contain_text(f"{group['splits']['test']['rows']}")
    validation = page.get_by_role("region", name="By colour on validation rows")
    expect(validation).not_to_be_visible()
    page.locator("section", has=page.get_by_role("heading", name="By colour")).locator("summary").click()
    expect(validation).to_be_visible()


def test_suspected_label_errors_are_rows_with_what_they_look_like(open_page: PageFactory, world: World, server: Server) -> None:
    suspected = evaluation(server, world.job_id)["suspected_label_errors"]

    table = open_page(f"/ui/jobs/{world.job_id}/evaluation").get_by_role("region", name="Suspected label errors")

    expect(table.locator("tbody tr")).to_have_count(len(suspected["rows"]))
    first = suspected["rows"][0]
    expect(table.locator("tbody tr").first).to_contain_text(
        re.compile(rf"{first['row']}.*{first['part']}.*{first['label']}.*{first['suggested']}", re.S)
    )


def test_several_classes_say_how_they_are_called(open_page: PageFactory, world: World, server: Server) -> None:
    threshold = evaluation(server, world.several_id)["threshold"]

    page = open_page(f"/ui/jobs/{world.several_id}/evaluation")

    called = "the likeliest class" if threshold["offsets_reason"] else "the likeliest class after offsets"
    expect(page.locator(".summary").get_by_text(called, exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="By event on test rows")).to_be_visible()
