"""ClickHouse's client: how it is opened, and what its errors mean here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from clickhouse_connect.driver.exceptions import Error as ClickHouseError

from warehouse.errors import WarehouseDown, WarehouseError, WarehouseRefused

CONNECT_SECONDS: Final = 10

# Codes of the server that time, room or an operator cures; with any other one it will not have what we sent.
_CURABLE: Final = frozenset(
    {
        76,  # CANNOT_OPEN_FILE
        81,  # UNKNOWN_DATABASE: not made yet, as a PostgreSQL without the database
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        164,  # READONLY
        173,  # CANNOT_ALLOCATE_MEMORY
        201,  # QUOTA_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        285,  # TOO_FEW_LIVE_REPLICAS
        319,  # UNKNOWN_STATUS_OF_INSERT
        372,  # SESSION_NOT_FOUND
        373,  # SESSION_IS_LOCKED
        394,  # QUERY_WAS_CANCELLED
        516,  # AUTHENTICATION_FAILED
        999,  # KEEPER_EXCEPTION
        1001,  # STD_EXCEPTION: a full disk, told by the operating system
    }
)


def open_client(url: str, *, timeout_seconds: float, session: bool) -> Client:
    """Connect to `url`: `clickhouse://user:password@host:8123/database`, or `chdb:///directory` for this process.

    An answer is waited for as long as `timeout_seconds`. With a `session` there are temporary tables, and one thread at
    a time; without one, threads may share the client.

    Raises:
        WarehouseDown: it does not answer.
    """
    settings: dict[str, Any] = {}
    if not url.startswith("chdb:"):
        settings = {
            "connect_timeout": CONNECT_SECONDS,
            "send_receive_timeout": timeout_seconds,
            "autogenerate_session_id": session,
            "client_name": "usersplit-warehouse",
        }
    with translated():
        return clickhouse_connect.get_client(dsn=url, **settings)


@contextmanager
def translated() -> Iterator[None]:
    """Raise ClickHouse's errors as this room's."""
    try:
        yield
    except WarehouseError:
        raise
    except DatabaseError as error:
        # Without a code it is not the server's word but, say, that of a gateway before it.
        nameless = type(error) is DatabaseError and error.code is None
        if isinstance(error, OperationalError) or nameless or error.code in _CURABLE:
            raise WarehouseDown(f"ClickHouse cannot store or answer now: {error}") from error
        raise WarehouseRefused(f"ClickHouse refused: {error}") from error
    except ClickHouseError as error:
        raise WarehouseDown(f"ClickHouse cannot store or answer now: {error}") from error
