"""What a soak runs on: a broker, a database, sinks and services, each of which can be killed and started again."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import psycopg

from consumers.dead_letters import dead_letters
from streams.kafka_broker import KafkaBroker
from streams.topics import HITS, all_topics
from tests.soak.books import Ended
from tests.support.hit_service import HitService, Load, Told
from tests.support.kafka_server import KafkaServer
from tests.support.postgres import running_postgres
from warehouse.postgres_hits import PostgresHits

_ROOT: Final = Path(__file__).parents[2]
_PARTITIONS: Final = 6
_PATIENCE_SECONDS: Final = 120.0
_RATE_OF_HEIR: Final = 20
_IN_BI: Final = "SELECT split_part(unit_id, '.', 1), count(DISTINCT unit_id), count(*) FROM hits GROUP BY 1"
_LAST_IN_BI: Final = "SELECT split_part(unit_id, '.', 1), max(split_part(unit_id, '.', 2)::bigint) FROM hits GROUP BY 1"


class SoakFailed(Exception):
    """Something ended, or did not come about, that should have: the soak has no result."""


class Victim(Protocol):
    """What may be killed."""

    kind: str

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def start(self) -> None:
        """Start it again."""
        ...


class _BrokerVictim:
    kind = "broker"

    def __init__(self, kafka: KafkaServer) -> None:
        self._kafka = kafka
        self.start = kafka.start
        self.kill = kafka.kill


class _SinkVictim:
    kind = "sink"

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("USERSPLIT_")}
        self._environment = {**clean, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "entrypoints", "bi-sink"],
                cwd=_ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def restart_if_ended(self) -> None:
        """Do what a supervisor does: a sink that was fenced ends, and is started again."""
        if self._process is not None and self._process.poll() is not None:
            self.start()


class _ServiceVictim:
    kind = "service"

    def __init__(self, name: str, make_load: Callable[[str], Load], ended: list[Ended], *, write_ahead: bool) -> None:
        self._name = name
        self._make_load = make_load
        self._ended = ended
        self._write_ahead = write_ahead
        self._lives = 0
        self._running: HitService | None = None

    def start(self) -> None:
        self._lives += 1
        self._running = HitService(self._make_load(f"{self._name}-{self._lives}"))

    def kill(self) -> None:
        if self._running is not None:
            self._running.kill()
            self._close_books(killed=True)

    def end(self) -> None:
        if self._running is not None:
            self._running.end()
            self._close_books(killed=False)

    def has_begun(self) -> bool:
        """Whether it has logged a hit."""
        return self.told().accepted > 0

    def told(self) -> Told:
        """What it says now."""
        return self._running.told() if self._running is not None else Told()

    def _close_books(self, *, killed: bool) -> None:
        if self._running is not None:
            told, name = self._running.told(), self._running.load.name
            self._ended.append(Ended(name=name, told=told, killed=killed, write_ahead=self._write_ahead))
            self._running = None


class World:
    """Everything that a soak needs, as a context; `victims` are drawn from, those that matter more are in it twice."""

    def __init__(self, *, rate: int) -> None:
        self._rate = rate
        self._stack = ExitStack()
        self.ended: list[Ended] = []
        self.victims: Sequence[Victim] = ()

    def __enter__(self) -> Self:
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _set_up(self) -> None:
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="usersplit-soak-")))
        self._kafka = self._stack.enter_context(KafkaServer())
        server = self._stack.enter_context(running_postgres())
        self._url = self._stack.enter_context(server.new_database()).replace("+psycopg", "", 1)
        self._broker = KafkaBroker(self._kafka.bootstrap_servers)
        self._broker.ensure_topics(all_topics(hit_partitions=_PARTITIONS))
        self._warehouse = PostgresHits(self._url)
        self._stack.callback(self._warehouse.close)
        self._warehouse.prepare()
        settings = {
            "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            "USERSPLIT_WAREHOUSE_URL": self._url,
        }
        # One sink comes back under its name, the other one is a stranger each time.
        names: tuple[dict[str, str], ...] = ({"USERSPLIT_SINK_NAME": "sink-1"}, {})
        self._sinks = [
            _SinkVictim({**settings, **name}, self._directory / f"sink-{number}.log")
            for number, name in enumerate(names)
        ]
        self._services = [
            _ServiceVictim("ahead", self._load(write_ahead=True, rate=self._rate), self.ended, write_ahead=True),
            _ServiceVictim("behind", self._load(write_ahead=False, rate=self._rate), self.ended, write_ahead=False),
        ]
        self.victims = (*self._sinks, *self._services, *self._services, _BrokerVictim(self._kafka))

    def start(self) -> None:
        """Start the sinks and the services."""
        everything: tuple[Victim, ...] = (*self._sinks, *self._services)
        for each in everything:
            each.start()
            self._stack.callback(each.kill)

    def supervise(self) -> None:
        """Start sinks again that ended by themselves."""
        for sink in self._sinks:
            sink.restart_if_ended()

    def end_services(self) -> None:
        """End the services in good order, and let an heir deliver what they and the dead left in the spool."""
        heir = _ServiceVictim("heir", self._load(write_ahead=False, rate=_RATE_OF_HEIR), self.ended, write_ahead=False)
        for each in self._services:
            self._wait_until("a service begins to log", each.has_begun)
            each.end()
        heir.start()
        self._stack.callback(heir.kill)
        self._wait_until(
            "the spool is delivered",
            lambda: heir.has_begun() and not heir.told().spooled and not self._segments_left(),
        )
        heir.end()

    def drain(self) -> None:
        """Wait until BI is at the end of the topic, and see that nothing was put aside."""
        reader = self._broker.log_reader(HITS)
        ends = {number: end for (_, number), end in reader.end_offsets().items() if end}
        reader.close()
        self._wait_until("the sinks drain the topic", lambda: dict(self._warehouse.offsets(HITS)) == ends)
        if letters := list(dead_letters(self._broker)):
            raise SoakFailed(f"{len(letters)} hits became dead letters, the first one because: {letters[0].reason}")

    def in_bi(self) -> tuple[dict[str, int], int]:
        """Return how many different hits BI has of each service, by its name, and how many rows too many."""
        with psycopg.connect(self._url) as connection:
            rows: list[tuple[Any, ...]] = connection.execute(_IN_BI).fetchall()
        return {name: hits for name, hits, _ in rows}, sum(count - hits for _, hits, count in rows)

    def last_in_bi(self) -> dict[str, int]:
        """Return the highest number of each service's hits in BI."""
        with psycopg.connect(self._url) as connection:
            rows: list[tuple[Any, ...]] = connection.execute(_LAST_IN_BI).fetchall()
        return dict(rows)

    def _segments_left(self) -> list[Path]:
        return list((self._directory / "spool").rglob("*.hits"))

    def _load(self, *, write_ahead: bool, rate: int) -> Callable[[str], Load]:
        def load(name: str) -> Load:
            return Load(
                bootstrap_servers=self._kafka.bootstrap_servers,
                topic=HITS,
                journal=str(self._directory / f"{name}.journal"),
                name=name,
                rate=rate,
                logger={
                    "spool_directory": str(self._directory / "spool"),
                    "write_ahead": write_ahead,
                    # Small, so that outages of some seconds reach the spool without it too.
                    "capacity": 4 * self._rate,
                },
                kafka={"queue.buffering.max.messages": self._rate},
            )

        return load

    def _wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-3000:] for path in sorted(self._directory.glob("sink-*.log")))
                raise SoakFailed(f"not within {_PATIENCE_SECONDS:.0f} s: {what}. The sinks said:\n{logs}")
            self.supervise()
            time.sleep(0.2)
