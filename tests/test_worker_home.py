"""What a worker leaves outside its home."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

WORK = """
import os, signal, sys
from multiprocessing.util import get_temp_dir
from pathlib import Path
from workers import home

with home.sockets(Path(sys.argv[1])):
    Path(get_temp_dir(), "socket").touch()
    if len(sys.argv) > 2:
        os.kill(os.getpid(), int(sys.argv[2]))
"""


def test_a_copy_of_a_home_leaves_the_sockets_of_the_original(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    with subprocess.Popen([sys.executable, "-c", WORK, str(original), str(int(signal.SIGSTOP))]) as running:
        try:
            os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
            shutil.copytree(original, copy)

            subprocess.run([sys.executable, "-c", WORK, str(copy)], check=True)

            left = sorted(path.name for path in Path((original / "sockets").read_text()).iterdir())
        finally:
            running.send_signal(signal.SIGCONT)
    assert (left, running.returncode) == (["home", "socket"], 0)


def test_sockets_of_a_killed_worker_are_gone_when_the_next_has_been(tmp_path: Path) -> None:
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    command, environment = [sys.executable, "-c", WORK, str(home)], os.environ | {"TMPDIR": str(temporary)}

    killed = subprocess.run([*command, str(int(signal.SIGKILL))], env=environment, check=False)
    left = len(list(temporary.iterdir()))
    subprocess.run(command, env=environment, check=True)

    assert (killed.returncode, left) == (-signal.SIGKILL, 1)
    assert list(temporary.iterdir()) == []
    assert list(home.iterdir()) == []
