"""How soon a part that has ended is started again."""

import subprocess
import sys
import time

import pytest

from service.supervisor import SLOWEST_RESTART_S, STARTED_S, Part, Supervisor


@pytest.mark.parametrize(
    ("status", "lived_s", "is_at_once"),
    [(-9, STARTED_S + 1, True), (-9, STARTED_S - 1, False), (1, STARTED_S + 1, False), (1, 2 * SLOWEST_RESTART_S + 1, True)],
)
def test_what_had_started_and_was_killed_is_started_again_at_once(status: int, lived_s: float, is_at_once: bool) -> None:
    end = f"import os; os.kill(os.getpid(), {-status})" if status < 0 else f"raise SystemExit({status})"
    runs = subprocess.Popen([sys.executable, "-c", end])
    runs.wait()
    part = Part("part", [], runs=runs, delay_s=SLOWEST_RESTART_S / 2, started_at=time.monotonic() - lived_s)
    supervisor = Supervisor([part])
    supervisor._is_stopping = True  # It only says when it would.

    assert supervisor._after_end(part) == 0
    assert part.delay_s == (0.2 if is_at_once else SLOWEST_RESTART_S)
