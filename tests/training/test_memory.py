"""A stack that does not fit into memory asks to be trained in smaller ones; a job that fits alone succeeds alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, resource, sys
from pathlib import Path
from tests.training.tables import make_task
from workers.training.trainer import run
import torch._dynamo

specs = [{"learner": {"kind": "mlp", "width": 2048}, "training": {"max_epochs": 1, "seed": seed}} for seed in range(int(sys.argv[2]))]
task = make_task(Path(sys.argv[1]), specs)
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + 1_500_000_000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
print(json.dumps([message.kind for message in run(task, lambda job_id: False)]))
"""
"""A member takes some 17 MB for each of its copies of 4.3 million parameters."""


@pytest.mark.parametrize(("members", "end"), [(1, "succeeded"), (32, "split")])
def test_a_stack_that_does_not_fit_asks_for_smaller_ones(tmp_path: Path, members: int, end: str) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(members)]
    # One arena: each thread would set aside address space of its own, as much as a member needs.
    ended = subprocess.run(command, env=os.environ | {"MALLOC_ARENA_MAX": "1"}, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    kinds = json.loads(ended.stdout)
    assert kinds[-members:] == [end] * members
