"""What an agent says of its server: which position of each test's config it has laid out. docs/streams.md has the form.

A report holds the whole state of a server, so the newest one is enough and the topic can be compacted; a thousand tests
are about 30 KB. Reports are sent at changes, at most one a second, and as a sign of life.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread

from consumers.config_files import FORMAT, UnusableDocument, decoded, position_in
from events.errors import UnstorableText
from events.store import require_storable
from projections.laid_out import Report
from streams.messages import OutgoingMessage
from streams.ports import Broker, Producer, StreamError
from streams.topics import LAID_OUT

_log = logging.getLogger(__name__)


def report_record(report: Report, *, at: datetime) -> OutgoingMessage:
    """Return `report` as a record of its topic; `at` is the agent's clock, for people."""
    document = {
        "format": FORMAT,
        "kind": "laid_out",
        "environment": report.environment,
        "host": report.host,
        "position": report.position,
        "at": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "tests": dict(sorted(report.tests.items())),
    }
    return OutgoingMessage(
        topic=LAID_OUT,
        key=f"{report.environment}/{report.host}".encode(),
        value=json.dumps(document, separators=(",", ":")).encode(),
        headers=(("content-type", b"application/json"),),
    )


def read_report(content: bytes | None) -> Report:
    """Return the report in a record.

    Raises:
        UnusableDocument: torn, foreign, or from the future.
    """
    fields = decoded(content or b"")
    environment, host, tests = fields.get("environment"), fields.get("host"), fields.get("tests")
    if fields.get("kind") != "laid_out" or not isinstance(tests, dict):
        raise UnusableDocument("it is no report of what a server has laid out")
    if not (isinstance(environment, str) and environment and isinstance(host, str) and host):
        raise UnusableDocument("it does not say which server it speaks of")
    try:
        for text in (environment, host, *tests):
            require_storable("name", text)
    except UnstorableText as error:
        raise UnusableDocument(str(error)) from error
    positions = {key: position_in({"position": position}) for key, position in tests.items()}
    return Report(environment=environment, host=host, position=position_in(fields), tests=positions)


class LaidOutReporter:
    """Sends the newest state of a server, in a thread of its own: no report is worth a config file that comes late.

    Whatever is told while Kafka is away is replaced by what is told after it, so memory is bounded by one state.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        environment: str,
        host: str,
        now: Callable[[], datetime],
        at_most_every_seconds: float = 1.0,
        heartbeat_seconds: float = 60.0,
        retry_seconds: float = 5.0,
    ) -> None:
        self._broker = broker
        self._environment = environment
        self._host = host
        self._now = now
        self._at_most_every_seconds = at_most_every_seconds
        self._heartbeat_seconds = heartbeat_seconds
        self._retry_seconds = retry_seconds
        self._newest: Report | None = None
        self._news = Event()
        self._done = Event()
        self._producer: Producer | None = None

    def tell(self, position: int, tests: Mapping[str, int]) -> None:
        """Say what the server has laid out now. Never blocks, never raises; what is new is sent within a second."""
        report = Report(environment=self._environment, host=self._host, position=position, tests=dict(tests))
        # A position alone moves with every fact of the log; it waits for the next sign of life.
        is_news = self._newest is None or self._newest.tests != report.tests
        self._newest = report
        if is_news:
            self._news.set()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Report from now on until the end of the block."""
        thread = Thread(target=self._run, name="laid-out-reporter", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            self._news.set()
            thread.join()

    def _run(self) -> None:
        try:
            while not self._done.is_set():
                self._news.wait(self._heartbeat_seconds)
                self._news.clear()
                if not self._done.is_set() and self._newest is not None:
                    self._done.wait(self._at_most_every_seconds if self._send(self._newest) else self._retry_seconds)
        finally:
            self._drop_producer()

    def _send(self, report: Report) -> bool:
        try:
            self._producer = self._producer or self._broker.producer()
            self._producer.send([report_record(report, at=self._now())], give_up=self._done)
        except StreamError as error:
            self._drop_producer()
            if not self._done.is_set():
                self._news.set()
                _log.warning("what is laid out could not be reported, trying again: %s", error)
            return False
        return True

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()
