"""Kafka for tests: the embedded broker always, a real Apache Kafka where one can be had, and a word on which it was."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from streams.kafka_embedded import EmbeddedBroker
from tests.support.kafka_server import KafkaNotAvailable, KafkaServer
from tests.support.tiers import remember

_ROOT = Path(__file__).parents[2]
_JARS = "real, jars on this machine's Java"
_NEEDS = (
    "a real Kafka needs one of: USERSPLIT_TEST_KAFKA with the bootstrap servers of a running broker; a Docker engine; "
    "Java 17 with Maven, for Kafka's jars"
)


class RealKafka(Protocol):
    """A real Apache Kafka whose faults a test may ask for. One that somebody else started refuses the faults."""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...

    def stop(self) -> None:
        """SIGTERM, and wait."""
        ...

    def freeze(self) -> None:
        """SIGSTOP."""
        ...

    def thaw(self) -> None:
        """SIGCONT."""
        ...

    def start(self) -> None:
        """Start it again on the same log and ports; nothing if it runs."""
        ...


class _ForeignKafka:
    """A broker that somebody else started; we only talk to it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def kill(self) -> None:
        self._refuse()

    def stop(self) -> None:
        self._refuse()

    def freeze(self) -> None:
        self._refuse()

    def thaw(self) -> None:
        self._refuse()

    def start(self) -> None:
        """It runs, or it is somebody else's business."""

    def _refuse(self) -> None:
        pytest.skip("the broker of USERSPLIT_TEST_KAFKA is not ours to stop; unset it to run the fault tests")


class _DockerKafka:
    """The service `kafka` of docker-compose.yml, in a project that pytest-docker made for this run."""

    def __init__(self, compose_file: str, project: str, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._compose = ("docker", "compose", "-f", compose_file, "-p", project)

    def kill(self) -> None:
        self._run("kill", "-s", "SIGKILL", "kafka")

    def stop(self) -> None:
        self._run("stop", "kafka")

    def freeze(self) -> None:
        self._run("pause", "kafka")

    def thaw(self) -> None:
        self._run("unpause", "kafka")

    def start(self) -> None:
        self._run("up", "--detach", "--wait", "kafka")

    def _run(self, *arguments: str) -> None:
        subprocess.run([*self._compose, *arguments], check=True, capture_output=True, timeout=180)


@pytest.fixture(scope="session")
def embedded_bootstrap(request: pytest.FixtureRequest) -> Iterator[str]:
    """The bootstrap servers of librdkafka's in-memory broker; names of topics and groups keep tests apart."""
    remember(request.config, "Kafka", "embedded (librdkafka's in-memory broker)")
    with EmbeddedBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def _session_kafka(request: pytest.FixtureRequest) -> Iterator[RealKafka]:
    with _real_kafka(request) as kafka:
        yield kafka


@pytest.fixture
def kafka(_session_kafka: RealKafka) -> RealKafka:
    """A real Apache Kafka, one a session. A test that ends it gets it started again for the next one."""
    _session_kafka.start()
    return _session_kafka


@pytest.fixture
def own_kafka(request: pytest.FixtureRequest) -> Iterator[KafkaServer]:
    """A real Apache Kafka for one test, from the jars: for those that use the product's own topics, or end the broker.

    It starts in about two seconds.
    """
    with _server(request.config) as server:
        remember(request.config, "Kafka", _JARS)
        yield server


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    """For pytest-docker: the compose file of the project, not one of the tests' own."""
    return str(_ROOT / "docker-compose.yml")


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    """For pytest-docker: of all services only Kafka, which builds nothing.

    Its port on the host is fixed, so one such test session runs at a time.
    """
    os.environ.setdefault(
        "POSTGRES_PASSWORD", "of-no-use-to-kafka"
    )  # the compose file asks for it, whatever is started
    return ["up --detach --wait kafka"]


@contextmanager
def _real_kafka(request: pytest.FixtureRequest) -> Iterator[RealKafka]:
    config = request.config
    if foreign := os.environ.get("USERSPLIT_TEST_KAFKA"):
        remember(config, "Kafka", f"real, started by somebody else at {foreign}")
        yield _ForeignKafka(foreign)
    elif _docker_answers():
        request.getfixturevalue("docker_services")
        project = request.getfixturevalue("docker_compose_project_name")
        remember(config, "Kafka", "real, docker compose")
        yield _DockerKafka(request.getfixturevalue("docker_compose_file"), project, "localhost:9092")
    else:
        with _server(config) as server:
            remember(config, "Kafka", _JARS)
            yield server


def _server(config: pytest.Config) -> KafkaServer:
    try:
        return KafkaServer()
    except KafkaNotAvailable as error:
        remember(config, "Kafka", "NO REAL ONE, its tests were left out")
        _go_without(f"{_NEEDS}. {error}")


def _go_without(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_REAL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    return asked.returncode == 0
