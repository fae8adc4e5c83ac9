"""`python -P -m service.api --fd N`."""

import argparse
import sys

from counterweight.settings import read_server_settings
from service.api import server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m service.api", description="Serve the API on an inherited listening socket.")
    parser.add_argument("--fd", type=int, required=True, help="the socket's file descriptor")
    arguments = parser.parse_args()
    return server.serve(read_server_settings(), arguments.fd)


if __name__ == "__main__":
    sys.exit(main())
