"""The golden numbers that lie beside the project, where they do."""

import json
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).parents[3] / "shared"
_PATH = SHARED / "golden" / "losses.json"

needs_golden = pytest.mark.skipif(not _PATH.exists(), reason="golden/losses.json is not beside the project")


def golden(section: str) -> list[dict[str, Any]]:
    """Return the entries of a section; none where the file is absent."""
    if not _PATH.exists():
        return []
    entries: list[dict[str, Any]] = json.loads(_PATH.read_text())[section]
    return entries
