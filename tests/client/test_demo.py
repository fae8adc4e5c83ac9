"""The demo, played whole; and what its words claim."""

import json
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from counterweight.demo.report import HeldOut, Run, rows_of, words_of
from tests.client.conftest import BINARY, CommandLine


@pytest.fixture
def apart(tmp_path: Path) -> CommandLine:
    return CommandLine("http://127.0.0.1:9", tmp_path)


def run_of(loss: str, low: float, value: float, high: float, seed: int = 0) -> Run:
    return Run("job_1", loss, seed, value, low, high, recall=0.5, log_loss=0.1, threshold=0.5)


def start(apart: CommandLine, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [BINARY, "demo", *arguments],
        env={**apart.environment(), "TMPDIR": str(apart.folder), "PYTHONUNBUFFERED": "1"},
        cwd=apart.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_kept_demo_compares_three_losses_and_serves_until_ctrl_c(apart: CommandLine) -> None:
    process = start(apart, "--keep")
    assert process.stderr is not None
    told = process.stderr.readline()
    found = json.loads((apart.folder / "demo.json").read_text())
    shown = apart.run("jobs", "show", found["jobs"][0]["job_id"], "-o", "json", url=found["server"])

    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert f"{found['server']} stays up" in told
    assert [row["loss"] for row in found["losses"]] == ["cross-entropy", "balanced CE", "focal, gamma 2"]
    assert len({run["job_id"] for run in found["jobs"]}) == 6
    assert all(f"{row['average_precision']:.3f}" in printed for row in found["losses"])
    assert "Verdict:" in printed
    assert f"{found['server']}/ui/" in printed
    assert json.loads(shown.stdout)["metrics"]["test/average_precision"]["value"] == found["jobs"][0]["average_precision"]
    assert apart.run("jobs", "list", url=found["server"]).returncode == 5


def test_an_interrupted_demo_leaves_nothing_behind(apart: CommandLine) -> None:
    process = start(apart)
    assert process.stdout is not None
    process.stdout.readline()  # The service runs now.
    started = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    _, still_running = psutil.wait_procs(started, timeout=30)

    assert process.returncode == 130
    assert started
    assert still_running == []
    assert list(apart.folder.glob("counterweight-demo-*")) == []


def test_overlapping_intervals_decide_nothing() -> None:
    rows = rows_of([run_of("a", 0.5, 0.8, 1.0), run_of("b", 0.4, 0.7, 0.9)])

    assert "undecided" in words_of(rows, HeldOut(rows=100, rare=5), seeds=1)[-1]


def test_intervals_apart_name_the_better_one_and_its_limits() -> None:
    rows = rows_of([run_of("a", 0.1, 0.2, 0.3), run_of("b", 0.6, 0.7, 0.9)])

    verdict = words_of(rows, HeldOut(rows=100, rare=5), seeds=1)[-1]

    assert "b ranks the eights best" in verdict
    assert "not make that a law" in verdict


def test_a_losss_interval_spans_those_of_its_seeds() -> None:
    [row] = rows_of([run_of("a", 0.1, 0.2, 0.3, seed=0), run_of("a", 0.2, 0.4, 0.6, seed=1)])

    assert (row.low, row.high) == (0.1, 0.6)
    assert row.average_precision == pytest.approx(0.3)
