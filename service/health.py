"""`python -P -m service.health`: whether the API of this host answers, for the health check of a container."""

import contextlib
import http.client
import sys

from counterweight.settings import read_server_settings

PATIENCE_S = 5
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def answers(host: str, port: int, timeout_s: float) -> bool:
    """Whether the API bound there says that it is alive. While it loads, the kernel holds the connection: no need to ask twice."""
    connection = http.client.HTTPConnection(ANY_ADDRESS.get(host, host), port, timeout=timeout_s)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def main() -> int:
    settings = read_server_settings()
    if answers(settings.host, settings.port, PATIENCE_S):
        return 0
    sys.stderr.write(f"no API answers on {settings.bind}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
