"""`python -P -m service.api --fd N`."""

import argparse
import gc
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m service.api", description="Serve the API on an inherited listening socket.")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--fd", type=int, help="the socket's file descriptor")
    given.add_argument("--channel", type=int, help="the descriptor of a Unix socket over which the listening one will come")
    arguments = parser.parse_args()
    # Nothing that modules make while they load is ever garbage: without the collector the first answer comes 0.15 s sooner.
    gc.disable()
    from counterweight.settings import read_server_settings  # noqa: PLC0415
    from service.api import server, sockets  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    descriptor = arguments.fd if arguments.channel is None else sockets.receive(arguments.channel)
    # Without a socket our supervisor has ended before it could listen, and has said why.
    return 0 if descriptor is None else server.serve(read_server_settings(), descriptor)


if __name__ == "__main__":
    sys.exit(main())
