"""The charts in a real browser: curves that grow, one threshold for all, losses that follow their sliders."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.server import Server
from tests.tables_of_numbers import two_blobs
from tests.web.conftest import PageFactory, World


def test_curves_grow_while_a_job_trains(open_page: PageFactory, world: World, server: Server) -> None:
    endless = {"max_epochs": 100_000, "early_stopping": None}
    job_id = server.submit(world.dataset_id, name="growing", learner={"kind": "linear"}, training=endless)
    page = open_page(f"/ui/jobs/{job_id}")
    reading, canvas = page.locator("cw-curves .chart-reading").first, page.locator("cw-curves canvas").first

    expect(reading).to_contain_text("at epoch")
    canvas.evaluate("canvas => { canvas.isTheSame = true; }")
    points, told, picture = table_rows(page), reading.inner_text(), canvas.evaluate("canvas => canvas.toDataURL()")
    expect(reading).not_to_have_text(told)
    page.wait_for_function("before => document.querySelectorAll('cw-curves tbody tr').length > before", arg=points)

    # The drawing was added to, not made anew: nothing flickers, though the page around it is renewed each second.
    assert canvas.evaluate("canvas => canvas.isTheSame")
    page.wait_for_function("before => document.querySelector('cw-curves canvas').toDataURL() !== before", arg=picture)
    server.client.post(f"/jobs/{job_id}/cancel")
    expect(page.locator("cw-curves .chart-note")).not_to_contain_text("Live")


def test_curves_are_smoothed_and_turned_to_another_axis(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}")
    # The last panel is the training loss, which surely changes from epoch to epoch: a constant curve stays the same when smoothed.
    canvas, reading = page.locator("cw-curves canvas").last, page.locator("cw-curves .chart-reading").first
    expect(reading).to_contain_text("at epoch 3")
    before = canvas.evaluate("canvas => canvas.toDataURL()")

    page.get_by_label("Smoothing").fill("0.8")
    page.wait_for_function("before => [...document.querySelectorAll('cw-curves canvas')].at(-1).toDataURL() !== before", arg=before)
    page.get_by_role("button", name="Step", exact=True).click()
    expect(reading).to_contain_text("at step")
    page.locator("cw-curves .chart-plot").first.focus()
    page.keyboard.press("Home")

    expect(reading).not_to_contain_text("kept")


def test_the_threshold_is_dragged_on_any_chart_and_all_follow(open_page: PageFactory, world: World, server: Server) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}/evaluation")
    chosen = threshold_of(page)

    drag(page, page.locator("cw-precision-recall svg"), (0.25, 0.3), (0.98, 0.5))
    by_precision_recall = settled(page)
    assert by_precision_recall != chosen
    assert_all_agree(page, server, world.job_id, "validation")
    drag(page, page.locator("cw-roc svg"), (0.9, 0.2), (0.14, 0.6))
    by_roc = settled(page)
    assert by_roc > by_precision_recall
    assert_all_agree(page, server, world.job_id, "validation")
    drag(page, page.locator("cw-histogram svg"), (0.9, 0.5), (0.5, 0.5))
    by_scores = settled(page)
    assert by_scores == pytest.approx(0.5, abs=0.1)
    page.get_by_role("button", name="Test", exact=True).click()
    assert_all_agree(page, server, world.job_id, "test")

    page.reload()
    assert threshold_of(page) == pytest.approx(by_scores, abs=5e-4)
    expect(page.get_by_role("button", name="Test", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Back to").click()
    assert threshold_of(page) == pytest.approx(chosen, abs=5e-4)


def test_keys_move_the_threshold_from_one_decision_to_the_next(open_page: PageFactory, world: World, server: Server) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}/evaluation")
    handle, called = page.get_by_role("slider", name="Threshold on ROC"), page.locator(".chart-cells")
    handle.focus()

    before = called.inner_text()
    page.keyboard.press("ArrowLeft")
    lower = settled(page)
    expect(called).not_to_have_text(before)
    assert_all_agree(page, server, world.job_id, "validation")
    page.keyboard.press("ArrowRight")
    assert threshold_of(page) > lower
    page.keyboard.press("Home")
    expect(called).to_contain_text("0 missed")
    page.get_by_role("slider", name="Threshold", exact=True).focus()
    page.keyboard.press("End")

    expect(called).to_contain_text("0 found")
    expect(tile(page, "Precision")).to_contain_text("undefined")
    expect(tile(page, "Precision")).to_contain_text("no row is called positive")


def test_one_way_to_probabilities_is_in_force(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}/evaluation")

    expect(page.locator("cw-calibration .chart-in-force")).to_have_count(1)


def test_prices_mark_the_cheapest_threshold(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}/evaluation")

    page.get_by_role("slider", name="Threshold", exact=True).focus()
    page.keyboard.press("End")
    page.get_by_label("Price of a miss").fill("100000")
    page.get_by_role("button", name="Go there").click()

    expect(page.locator(".chart-cells")).to_contain_text("0 missed")
    expect(page.locator("cw-roc .chart-cheapest")).to_be_visible()


def test_several_classes_have_a_picker_in_place_of_a_threshold(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.several_id}/evaluation")
    note = page.locator("cw-precision-recall .chart-note")
    expect(note).to_contain_text("Average precision")
    labels = page.locator("cw-threshold option").all_inner_texts()

    told = set()
    for label in labels:
        page.locator("cw-threshold select").select_option(label)
        expect(page.locator("cw-histogram .chart-note")).to_contain_text(f"of class {label} above")
        told.add(note.inner_text())

    assert len(labels) == 3
    assert len(told) == 3
    assert page.get_by_role("slider").count() == 0
    expect(page.locator("cw-confusion tbody tr")).to_have_count(len(labels) + 1)


def test_what_is_undefined_says_why(open_page: PageFactory, server: Server) -> None:
    rows = [line.split(",") for line in two_blobs(300, 40, seed=3).decode().splitlines()]
    parts = ["part", *("train" if index % 3 else "validation" for index in range(300))]
    # The rare class comes first in the table: the last rows, the test part, have none of it.
    parts[-60:] = ["test"] * 60
    table = "\n".join(",".join([*row, part]) for row, part in zip(rows, parts, strict=True))
    dataset_id = server.upload(table.encode(), target="event")
    split = {"kind": "column", "column": "part"}
    job_id = server.submit(dataset_id, learner={"kind": "linear"}, training={"max_epochs": 2}, split=split)
    assert server.finish(job_id)["state"] == "succeeded"
    page = open_page(f"/ui/jobs/{job_id}/evaluation#part=test")

    expect(page.locator("cw-precision-recall .chart-message")).to_have_text("Undefined: no row of class yes in this part.")
    expect(page.locator("cw-roc .chart-message")).to_contain_text("Undefined: no rows of this class")
    expect(tile(page, "Recall")).to_contain_text("no rows of this class")
    expect(page.locator("cw-histogram svg")).to_be_visible()
    assert "NaN" not in page.locator(".charts").inner_html()
    page.get_by_role("button", name="Validation", exact=True).click()
    expect(page.locator("cw-roc svg")).to_be_visible()


def test_a_number_that_is_no_probability_becomes_the_nearest_one(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}/evaluation")
    box = page.get_by_label("Threshold as a number")

    box.fill("2")
    box.press("Enter")
    expect(box).to_have_value("1")
    box.fill("")
    box.press("Enter")
    expect(box).to_have_value("1")
    expect(page.get_by_role("slider", name="Threshold", exact=True)).to_have_attribute("aria-valuetext", "1.000")


def test_a_chart_is_read_as_a_table_and_taken_home(open_page: PageFactory, world: World) -> None:
    page = open_page(f"/ui/jobs/{world.job_id}/evaluation")
    roc = page.locator("cw-roc")

    roc.get_by_role("button", name="Table").click()
    expect(roc.locator("thead th")).to_have_text(["threshold", "false positive rate", "true positive rate"])
    rows = roc.locator("tbody tr").count()
    roc.get_by_role("button", name="Chart").click()

    assert len(saved(page, roc, "CSV").read_text().splitlines()) == rows + 1
    picture = saved(page, roc, "SVG").read_text()
    assert picture.startswith("<svg")
    assert 'stroke="rgb' in picture
    assert saved(page, roc, "PNG").read_bytes().startswith(b"\x89PNG")


def test_the_loss_explorer_follows_its_settings_and_its_address_holds_them(open_page: PageFactory, world: World) -> None:
    page = open_page("/ui/losses#losses=cross_entropy,focal")
    curve, row = page.locator("cw-loss-explorer .chart-loss.loss-focal").first, page.get_by_role("row", name=re.compile("^Focal"))
    expect(row).to_contain_text("0.029")
    before = curve.get_attribute("d")

    page.get_by_role("slider", name="γ").fill("4")
    expect(row).not_to_contain_text("0.029")
    assert curve.get_attribute("d") != before
    page.locator("select[name=alpha_kind]").select_option("number")
    expect(page.locator(".chart-lessons")).to_contain_text("rare rows count less than without α")
    page.get_by_role("checkbox", name="LDAM").check()
    expect(page.locator("cw-loss-explorer .chart-loss")).to_have_count(4 * 3)
    page.locator("select[name=job]").select_option(world.job_id)
    expect(page).to_have_url(re.compile(f"job={world.job_id}"))

    page.reload()
    expect(page).to_have_url(re.compile(r"#losses=cross_entropy,focal,ldam&.*gamma=4&alpha=0.25"))
    expect(page.locator("cw-loss-explorer .chart-loss")).to_have_count(4 * 3)
    expect(page.locator("select[name=job]")).to_have_value(world.job_id)
    page.get_by_role("slider", name="Read the curves").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".chart-reading-table caption")).to_have_text("At p_t = 0.890")


def table_rows(page: Page) -> int:
    """Turn the curves' table on; return how many rows it has."""
    page.locator("cw-curves").get_by_role("button", name="Table").click()
    return page.locator("cw-curves tbody tr").count()


def drag(page: Page, drawing: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press at one place of a drawing and let go at another; places are shares of its width and height."""
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box is not None
    (x0, y0), (x1, y1) = [(box["x"] + across * box["width"], box["y"] + down * box["height"]) for across, down in (start, end)]
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2)
    page.mouse.move(x1, y1)
    page.mouse.up()


def threshold_of(page: Page) -> float:
    return float(page.get_by_label("Threshold as a number").input_value())


def settled(page: Page) -> float:
    """Wait until the service's own numbers have come; return the threshold."""
    expect(tile(page, "Recall").locator(".chart-interval")).to_contain_text("–")
    return threshold_of(page)


def tile(page: Page, name: str) -> Locator:
    return page.locator("cw-threshold .chart-tiles > div", has=page.get_by_text(name, exact=True))


def assert_all_agree(page: Page, server: Server, job_id: str, part: str) -> None:
    """All charts show the decisions the service makes at the threshold shown."""
    exact = re.search(r"threshold=([\d.]+)", page.url)
    threshold = exact.group(1) if exact else page.get_by_label("Threshold as a number").input_value()
    point = server.read(f"/jobs/{job_id}/operating-point", threshold=threshold)["splits"][part]
    expect(tile(page, "Recall").locator(".chart-interval")).to_contain_text("–")

    expect(tile(page, "Recall")).to_contain_text(f"{point['metrics']['recall']['value']:.3f}")
    expect(tile(page, "MCC")).to_contain_text(shown(point["metrics"]["mcc"]["value"]))
    cells = page.locator("cw-confusion tbody td strong").all_inner_texts()
    assert sorted(cells, key=int) == sorted((str(count) for row in point["confusion"]["counts"] for count in row), key=int)
    for name in ("Threshold on ROC", "Threshold on Precision and recall", "Threshold on the scores"):
        told = page.get_by_role("slider", name=name).get_attribute("aria-valuenow")
        assert told is not None
        assert float(told) == pytest.approx(float(threshold), abs=1e-9)
    recall = page.get_by_role("slider", name="Threshold on Precision and recall").get_attribute("aria-valuetext")
    assert f"Recall {point['metrics']['recall']['value']:.3f}" in str(recall)


def shown(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def saved(page: Page, chart: Locator, kind: str) -> Any:
    """Take a chart home; return the file."""
    chart.locator("summary").click()
    with page.expect_download() as download:
        chart.get_by_role("button", name=kind, exact=True).click()
    return Path(download.value.path())
