"""`python -P -m service`."""

import socket
import subprocess
import sys


def main() -> int:
    # The API takes longest to load, so it starts before all else; its listening socket follows once it is bound.
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "service.api", "--channel", str(theirs.fileno())]
    api = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()])
    theirs.close()
    from service import supervisor  # noqa: PLC0415

    with ours:
        return supervisor.main(api, ours)


if __name__ == "__main__":
    sys.exit(main())
