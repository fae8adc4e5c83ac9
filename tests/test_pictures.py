"""The documents' pictures are what the formula draws."""

import re
import subprocess
import sys
from pathlib import Path

from counterweight.contracts.losses import LOSS_KINDS

DOCS = Path(__file__).parent.parent / "docs"


def test_the_pictures_kept_are_those_the_formula_draws(tmp_path: Path) -> None:
    subprocess.run([sys.executable, DOCS / "img" / "draw.py", tmp_path], check=True)

    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert drawn == {path.name: path.read_text() for path in (DOCS / "img").glob("*.svg")}


def test_the_page_of_losses_shows_every_kind_and_every_picture() -> None:
    page = (DOCS / "losses.md").read_text()

    assert set(re.findall(r'\{"kind": "(\w+)"', page)) == set(LOSS_KINDS)
    assert set(re.findall(r"\(img/([\w.]+)\)", page)) == {path.name for path in (DOCS / "img").glob("*.svg")}
