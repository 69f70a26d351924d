"""Ports that are chosen before anybody listens there, or listened to again after a while."""

import random
import socket

_LOWEST, _HIGHEST = 15_000, 30_000


def free_ports(count: int) -> list[int]:
    """Return so many free ports below the range from which the system draws ports for outgoing connections.

    From within that range, any connection that is made before a server listens could be given the server's port: even
    that of a client who tries to reach the server.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311 - a port, no secret
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)


def free_port() -> int:
    """Return one of them."""
    return free_ports(1)[0]
