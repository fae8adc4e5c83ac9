"""The examples, as a person runs them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import CommandLine

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_python_quickstart_compares_three_losses(cli: CommandLine, blobs: Path) -> None:
    ended = subprocess.run(
        [sys.executable, EXAMPLES / "quickstart.py", blobs, "event", "yes"], env=cli.environment(), capture_output=True, text=True
    )

    assert ended.returncode == 0, ended.stderr
    _, *rows, verdict = ended.stdout.splitlines()
    assert {line.split()[0] for line in rows} == {"cross_entropy", "balanced_cross_entropy", "focal"}
    assert "average precision" in verdict


def test_the_curl_quickstart_ends_with_the_jobs_metrics(cli: CommandLine, blobs: Path) -> None:
    ended = subprocess.run(["sh", EXAMPLES / "quickstart.sh", blobs, "event"], env=cli.environment(), capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr
    assert '"test/average_precision"' in ended.stdout


def test_the_demos_data_is_what_its_script_makes(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")

    subprocess.run([sys.executable, EXAMPLES / "digits_rare.py", tmp_path / "made.csv"], check=True)

    shipped = EXAMPLES.parent / "counterweight" / "data" / "digits-rare.csv"
    assert (tmp_path / "made.csv").read_bytes() == shipped.read_bytes()
