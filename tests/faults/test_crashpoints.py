"""Crash points go off when they are armed and never otherwise; a migration that dies in the middle leaves nothing half done."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import migrations
from counterweight.crashpoints import VARIABLE, arm
from service.persistence import revision, schema
from service.persistence.database import Database


def _reach(point: str, armed: Path | None) -> int:
    """Reach a point twice in a process of its own; return its exit status."""
    code = f"from counterweight.crashpoints import crashpoint; crashpoint({point!r}); crashpoint({point!r})"
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    given = environment if armed is None else environment | {VARIABLE: str(armed)}
    return subprocess.run([sys.executable, "-c", code], env=given, stderr=subprocess.DEVNULL, timeout=60).returncode


def test_a_point_goes_off_once_when_it_is_armed_and_never_otherwise(tmp_path: Path) -> None:
    arm(tmp_path, "second.time", passes=1)
    arm(tmp_path, "third.time", passes=2)

    assert _reach("second.time", None) == 0
    assert [_reach("second.time", tmp_path) for _ in range(2)] == [-signal.SIGKILL, 0]
    assert [_reach("third.time", tmp_path) for _ in range(2)] == [0, -signal.SIGKILL]
    assert list(tmp_path.iterdir()) == []


def test_a_migration_killed_in_the_middle_is_done_whole_by_the_next(database_url: str, tmp_path: Path) -> None:
    database = Database(database_url)
    schema.downgrade(database, "0001")
    environment = os.environ | {
        VARIABLE: str(tmp_path),
        "COUNTERWEIGHT_DATABASE_URL": database_url,
        "COUNTERWEIGHT_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, "-P", "-m", "service.migrate"]
    arm(tmp_path, "migration.step", passes=2)

    killed = subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, timeout=60)

    assert killed.returncode == -signal.SIGKILL
    assert revision.current(database) == "0001"
    assert subprocess.run(command, env=environment, timeout=60).returncode == 0
    assert revision.current(database) == migrations.HEAD
    database.close()
