"""Every page: nothing amiss for a screen reader, in light and in dark, and nothing too wide for a phone."""

import hashlib
from pathlib import Path

import pytest

from tests.web.conftest import PageFactory, World

AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""Of axe-core 4.14.1, as released; MPL-2.0. Only tests use it."""

RUN_AXE = "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_fault_of_accessibility(open_page: PageFactory, world: World, scheme: str) -> None:
    page = open_page("/ui/jobs", color_scheme=scheme, reduced_motion="reduce")

    faults = []
    for path in world.pages:
        page.goto(path)
        page.evaluate(AXE.read_text())
        for fault in page.evaluate(RUN_AXE):
            if fault["impact"] in ("serious", "critical"):
                faults.append((path, fault["id"], [node["html"][:200] for node in fault["nodes"][:3]]))

    assert faults == []


def test_no_page_is_wider_than_a_phone(open_page: PageFactory, world: World) -> None:
    page = open_page("/ui/jobs", viewport={"width": 390, "height": 844})

    widths = {}
    for path in world.pages:
        page.goto(path)
        widths[path] = page.evaluate("document.documentElement.scrollWidth")

    assert {path: width for path, width in widths.items() if width > 390} == {}


def test_the_theme_follows_the_system_until_one_is_chosen(open_page: PageFactory) -> None:
    page = open_page("/ui/jobs", color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page.get_by_role("button", name="System").click()
    page.goto("/ui/datasets")

    assert page.get_by_role("button", name="Light").is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
    page.emulate_media(color_scheme="light")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == dark


def test_the_checker_is_the_one_its_makers_released() -> None:
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256
