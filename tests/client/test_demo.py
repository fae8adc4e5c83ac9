"""The demo, played whole; and what its words claim."""

import json
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.client.conftest import BINARY, CommandLine


@pytest.fixture
def apart(tmp_path: Path) -> CommandLine:
    return CommandLine("http://127.0.0.1:9", tmp_path)


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
    study = json.loads(apart.run("studies", "show", found["study_id"], "-o", "json", url=found["server"]).stdout)
    job = json.loads(apart.run("jobs", "show", found["jobs"][0]["job_id"], "-o", "json", url=found["server"]).stdout)

    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert f"{found['server']} stays up" in told
    assert {row["arm"] for row in found["leaderboard"]} == {"cross_entropy", "balanced_cross_entropy", "focal"}
    assert len({run["job_id"] for run in found["jobs"]}) == 15
    assert all(f"{row['mean']:.4f}" in printed for row in found["leaderboard"])
    assert f"Verdict: {study['verdict']['sentence']}" in printed
    assert f"{found['server']}/ui/studies/{found['study_id']}" in printed
    assert (study["state"], study["leaderboard"], study["comparisons"]) == ("succeeded", found["leaderboard"], found["comparisons"])
    assert job["metrics"]["test/average_precision"]["value"] == found["jobs"][0]["average_precision"]
    assert apart.run("studies", "list", url=found["server"]).returncode == 5


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
