"""`python -P -m service.api --fd N`."""

import argparse
import sys

from pydantic import ValidationError

from counterweight.settings import ServerSettings
from service.api import server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m service.api", description="Serve the API on an inherited listening socket.")
    parser.add_argument("--fd", type=int, required=True, help="the socket's file descriptor")
    arguments = parser.parse_args()
    try:
        settings = ServerSettings()
    except ValidationError as error:
        sys.stderr.write(f"{error}\n")
        return server.MISCONFIGURED
    return server.serve(settings, arguments.fd)


if __name__ == "__main__":
    sys.exit(main())
