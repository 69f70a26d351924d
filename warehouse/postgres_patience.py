"""How long to wait for a PostgreSQL that does not answer at all.

`statement_timeout` is the server's own; one that is frozen, or behind a network that swallows everything, does not keep
it, and libpq would wait for ever.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock, Timer
from typing import Any, Final

from psycopg import Connection

GRACE_SECONDS: Final = 5.0
"""How much later than the server's own limit the connection is cut."""


@contextmanager
def cut_after(connection: Connection[Any], seconds: float) -> Iterator[None]:
    """Cut `connection` if the block takes longer than `seconds` and a grace: what waits in it then gets an error."""
    watch = _Watch(connection)
    timer = Timer(seconds + GRACE_SECONDS, watch.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        watch.end()


class _Watch:
    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._lock = Lock()
        self._ended = False

    def cut(self) -> None:
        # Under the lock the block has not ended, so the descriptor is still this connection's.
        with self._lock, suppress(OSError):
            if not self._ended and not self._connection.closed:
                with socket.socket(fileno=os.dup(self._connection.fileno())) as shared:
                    shared.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        with self._lock:
            self._ended = True
