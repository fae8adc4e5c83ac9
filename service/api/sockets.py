"""The listening socket: bound by the supervisor, inherited by the API, so that a restart of the API refuses nobody."""

import socket

BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens there and hands TCP_NODELAY down to its connections.

    Without it a small answer can wait 40 ms for an acknowledgement; uvicorn sets it only on sockets it makes itself.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def receive(channel: int) -> int | None:
    """Wait for a listening socket to come over a Unix socket; None when its other end is closed instead."""
    with socket.socket(fileno=channel) as connection:
        descriptors = socket.recv_fds(connection, 1, 1)[1]
    return descriptors[0] if descriptors else None
