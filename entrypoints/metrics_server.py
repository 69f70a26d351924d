"""What a process says over HTTP, where USERSPLIT_METRICS_PORT is set: /metrics for Prometheus, /health for the rest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


class PortTaken(Exception):
    """The port for metrics cannot be had."""

    def __init__(self, address: str, port: int, reason: object) -> None:
        super().__init__(
            f"metrics cannot be served on {address}:{port} ({reason}); give every process on a machine a "
            "USERSPLIT_METRICS_PORT of its own"
        )


@contextmanager
def metrics_served(
    registry: CollectorRegistry, is_alive: Callable[[], bool], *, address: str, port: int
) -> Iterator[int]:
    """Serve metrics and health until the end of the block; yield the port (a free one where 0 is asked for).

    Raises:
        PortTaken: somebody else listens there.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif path == "/health" and is_alive():
                self._answer(HTTPStatus.OK, "text/plain", b"alive\n")
            elif path == "/health":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"no sign of life\n")
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics or /health\n")

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            """Say nothing: somebody asks every few seconds."""

    try:
        server = ThreadingHTTPServer((address, port), Handler)
    except OSError as error:
        raise PortTaken(address, port, error.strerror) from error
    server.daemon_threads = True
    # How soon it notices that it shall stop: every process waits for it at its end.
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
