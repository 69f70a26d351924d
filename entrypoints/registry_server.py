"""The schema registry as a process of its own: for Kafka Connect, Flink and others that live where no API runs."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import uvicorn

from api.schema_registry import schema_registry
from entrypoints.metrics import Metrics
from entrypoints.settings import RegistrySettings

_POLL_SECONDS = 0.5
_FAREWELL_SECONDS = 5

_log = logging.getLogger(__name__)


class AddressInUse(Exception):
    """Another process listens there."""

    def __init__(self, address: str, port: int, reason: str) -> None:
        super().__init__(
            f"the registry cannot listen on {address}:{port} ({reason}); set USERSPLIT_REGISTRY_ADDRESS and "
            "USERSPLIT_REGISTRY_PORT to a free place, or end what listens there"
        )


def run_registry(settings: RegistrySettings, stop: Event, metrics: Metrics) -> None:
    """Serve the topics' schemas."""
    del metrics
    serve_registry(stop, address=settings.registry_address, port=settings.registry_port)


def serve_registry(stop: Event, *, address: str, port: int) -> None:
    """Serve until `stop` is set.

    Raises:
        AddressInUse: see there.
    """
    with registry_served(address=address, port=port) as taken:
        _log.info("the schema registry is at http://%s:%d", address, taken)
        while not stop.wait(_POLL_SECONDS):
            pass


@contextmanager
def registry_served(*, address: str, port: int) -> Iterator[int]:
    """Serve while the block runs, and yield the port (which 0 lets the system choose).

    Raises:
        AddressInUse: see there.
    """
    config = uvicorn.Config(
        schema_registry(),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_FAREWELL_SECONDS,
    )
    server = uvicorn.Server(config)
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listening = socket.create_server((address, port), family=family)
    except OSError as error:
        raise AddressInUse(address, port, str(error)) from error
    with listening:
        # Signals are the process's: uvicorn takes them only on the main thread.
        thread = Thread(target=server.run, args=[[listening]], name="schema-registry", daemon=True)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
