"""A real Apache Kafka without Docker: one broker on Java 17, its jars from Maven Central, its faults on demand.

No pytest in here, so that benchmarks and the demo's tests can start one as well:

    with KafkaServer() as kafka:
        KafkaBroker(kafka.bootstrap_servers)
"""

import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata, OffsetSpec  # type: ignore[attr-defined]  # its own names

from tests.support.ports import free_ports

KAFKA_VERSION = "4.3.1"
_ROOT = Path(__file__).parents[2]
_POM = Path(__file__).with_name("kafka_jars") / "pom.xml"
# Resolved, for Java takes an archive of classes only with the very paths with which it was made.
_CACHE = (_ROOT / ".tools").resolve() / f"kafka-{KAFKA_VERSION}"
_ARCHIVE = _CACHE / "classes.jsa"
_START_TIMEOUT_SECONDS = 120.0

# One core compiles quickly and collects serially: a broker for tests lives for minutes.
_JAVA_OPTIONS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={directory}/data
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.cleaner.backoff.ms=500
"""


class KafkaNotAvailable(Exception):
    """This machine cannot start a Kafka; the message says what it needs."""


class KafkaServer:
    """One broker (and controller) in a temporary directory. `kill` and `start` keep its log and its ports.

    `java_options` are for its Java beside our own; by default, those with which it starts quickly.
    """

    def __init__(self, *, java_options: Sequence[str] | None = None) -> None:
        self._jars = _jars()
        self._java_options = _quick_start() if java_options is None else java_options
        self._directory = Path(tempfile.mkdtemp(prefix="usersplit-kafka-"))
        self._port, self._controller_port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self._properties = self._directory / "server.properties"
        self._properties.write_text(
            _PROPERTIES.format(
                port=self._port, controller_port=self._controller_port, directory=self._directory.as_posix()
            )
        )
        self._format()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self._port}"

    @property
    def log_file(self) -> Path:
        """What the broker said."""
        return self._directory / "server.log"

    def start(self) -> None:
        """Start the broker on its log and its ports, and wait until it leads every partition. A frozen one goes on."""
        if self._process is not None:
            self.thaw()
            return
        command = [*_java(self._jars), *self._java_options, "-Xmx512m", "kafka.Kafka", str(self._properties)]
        if setpriv := shutil.which("setpriv"):
            # The broker ends with whoever started it, even if that was killed: nobody is left to clean up then.
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._wait_until_it_answers()

    def kill(self) -> None:
        """Kill the broker as a power cut does (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the broker in good order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Halt the process where it stands (SIGSTOP): its sockets stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the broker and delete its directory. Idempotent."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _format(self) -> None:
        format_command = ["kafka.tools.StorageTool", "format", "--standalone", "-t", _cluster_id()]
        finished = subprocess.run(
            [*_java(self._jars), *_with_archive(), *format_command, "-c", str(self._properties)],
            capture_output=True,
            check=False,
            timeout=_START_TIMEOUT_SECONDS,
        )
        if finished.returncode != 0:
            said = (finished.stdout + finished.stderr).decode(errors="replace")
            self.close()
            raise KafkaNotAvailable(f"Kafka's storage could not be formatted: {said[-2000:]}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise KafkaNotAvailable("the broker is not running; call start() first")
        return self._process

    def _end(self, number: signal.Signals) -> None:
        process = self._running()
        process.send_signal(number)
        process.wait(timeout=_START_TIMEOUT_SECONDS)
        self._process = None

    def _wait_until_it_answers(self) -> None:
        process = self._running()
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._process = None
                break
            if _answers(self.bootstrap_servers):
                return
            time.sleep(0.1)
        said = self.log_file.read_text(errors="replace")[-3000:]
        raise KafkaNotAvailable(f"Kafka did not come up on {self.bootstrap_servers}. Its log ends with:\n{said}")


def _answers(bootstrap_servers: str) -> bool:
    """Tell whether the broker is in the cluster and leads every partition that there is.

    It is fenced until the controller has heard of it, and then not in the cluster's list; it is in there before it
    leads again what it led before it died. Whoever asks it for an end or writes to it in between is refused.
    """
    with socket.socket() as probe:
        probe.settimeout(0.5)
        host, port = bootstrap_servers.split(":")
        if probe.connect_ex((host, int(port))) != 0:
            return False
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        found = admin.list_topics(timeout=2)
        return bool(found.brokers) and _leads(admin, found)
    except (KafkaException, TimeoutError):
        return False


def _leads(admin: AdminClient, found: ClusterMetadata) -> bool:
    latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
    asked = {
        TopicPartition(name, number): latest for name, topic in found.topics.items() for number in topic.partitions
    }
    if asked:
        for answer in admin.list_offsets(asked, request_timeout=2).values():
            answer.result(4)
    return all(topic.error is None for topic in found.topics.values())


def _java(jars: Path) -> list[str]:
    return [_java_command(), *_JAVA_OPTIONS, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*"]


def _java_command() -> str:
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if found is None or not Path(found).exists():
        raise KafkaNotAvailable("Kafka needs Java 17 or newer: install a JRE, or set JAVA_HOME")
    return found


def _cluster_id() -> str:
    # 16 bytes in URL-safe base64, as StorageTool's random-uuid makes them; starting a JVM for it would take a second.
    return "".join(random.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=21)) + "A"  # noqa: S311 - an id, no secret


def _jars() -> Path:
    """Return the folder with Kafka's jars, fetched once for all processes that ask at the same time."""
    jars = _CACHE / "lib"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not jars.exists():
            _fetch(jars)
    return jars


def _with_archive() -> list[str]:
    """Return the option with which Java maps the classes of a broker from a file instead of loading each."""
    return [f"-XX:SharedArchiveFile={_ARCHIVE}"] if _ARCHIVE.exists() and _ARCHIVE.stat().st_size else []


def _quick_start() -> list[str]:
    """Return Java's options for a quick start; the first process to ask makes the archive of classes for all.

    For that a broker is started and stopped once, some ten seconds. It halves the time and the work of every later
    start. A Java that makes no archive, or is another than the one that made it, starts as slowly as without.
    """
    with (_CACHE / "archive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _ARCHIVE.exists():
            part = _ARCHIVE.with_suffix(".part")
            part.unlink(missing_ok=True)
            server = KafkaServer(java_options=[f"-XX:ArchiveClassesAtExit={part}"])
            with server:
                server.stop()
            part.touch()
            part.rename(_ARCHIVE)
    return _with_archive()


def _fetch(jars: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaNotAvailable(f"Kafka's jars are not in {jars}, and fetching them needs Maven (mvn)")
    _java_command()
    part = jars.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    finished = subprocess.run(
        [maven, "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={part}"],
        capture_output=True,
        check=False,
        timeout=300,
    )
    if finished.returncode != 0:
        said = (finished.stdout + finished.stderr).decode(errors="replace")
        raise KafkaNotAvailable(f"Maven could not fetch Kafka's jars: {said[-2000:]}")
    part.rename(jars)
