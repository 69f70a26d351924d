"""One call that wires the parts of the SDK together, as a service wants them."""

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from types import ModuleType, TracebackType
from typing import Any, Self

from usersplit._checker import Checker
from usersplit._directory_configs import DirectoryConfigs
from usersplit._errors import InvalidSetting
from usersplit._hit_accounting import HitStats
from usersplit._hit_logger import DEFAULT_CAPACITY, DEFAULT_CAPACITY_BYTES, DEFAULT_SPOOL_BYTES, HitLogger
from usersplit._kafka_transport import HITS_TOPIC, KafkaHitTransport
from usersplit._memory_configs import Configs
from usersplit._settings import require_name


class UserSplit(Checker):
    """A checker that owns its configs and its hits, and closes them. `connect` makes one.

    Attributes:
        configs: where the tests are described.
        hits: where the hits go.
    """

    hits: HitLogger

    def __init__(
        self,
        *,
        configs: Configs,
        hits: HitLogger,
        environment_name: str = "",
        additional_conditions: ModuleType | str | None = None,
    ) -> None:
        super().__init__(configs, hits, environment_name=environment_name, additional_conditions=additional_conditions)

    def stats(self) -> HitStats:
        """See `HitLogger.stats`."""
        return self.hits.stats()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """See `HitLogger.flush`."""
        return self.hits.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Deliver what can be delivered in time, and stop. Idempotent. Checks still answer; their hits are dropped."""
        self.hits.close(timeout_seconds)
        self.configs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def connect(  # noqa: PLR0913 - the settings of a service, all by name
    *,
    configs: str | os.PathLike[str] | Configs,
    bootstrap_servers: str,
    app: str,
    environment_name: str,
    host: str | None = None,
    topic: str = HITS_TOPIC,
    capacity: int = DEFAULT_CAPACITY,
    capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
    spool_directory: str | os.PathLike[str] | None = None,
    spool_bytes: int = DEFAULT_SPOOL_BYTES,
    write_ahead: bool = False,
    remembered_exposures: int = 0,
    reload_seconds: float = 1.0,
    additional_conditions: ModuleType | str | None = None,
    kafka: Mapping[str, Any] | None = None,
) -> UserSplit:
    """Return a client that reads configs from a directory and sends hits to Kafka. Close it at the end.

    Neither a missing directory nor a broker that is away is an error here: tests are unknown, hits wait.

    Args:
        configs: the directory that the agent keeps on this server, or any other `Configs`.
        bootstrap_servers: "host:port,host:port" of Kafka.
        app: the name of this service, for the hits.
        environment_name: where this service runs: "production", "devel" … It has no default: hits from production
            tell managers that the code of a test is deployed, so it must not be said by accident. QA's overrides hold
            for one environment, by the same names.
        host: this server's name; None asks the operating system.
        topic: where hits go.
        capacity: how many hits wait in memory at most.
        capacity_bytes: how much memory they take at most; the Kafka client has up to 32 MiB more in hand.
        spool_directory: a directory where hits wait that cannot be delivered now, and at the end of the process; None
            has none. The processes of a server may share it.
        spool_bytes: how much each process keeps there at most.
        write_ahead: hits are written to the spool before they are sent, so that a process that is killed loses those
            of its last moment alone. Needs a `spool_directory`.
        remembered_exposures: how many exposures are remembered, so that the same unit is logged once per test, variant
            and settings group, by each process; 0 logs every check.
        reload_seconds: how often changed configs are looked for.
        additional_conditions: the module with the service's classes of additional conditions, or its name; see
            `AdditionalConditions`.
        kafka: further settings of librdkafka, by its own names ("security.protocol").

    Raises:
        InvalidSetting: a setting with which nothing could work; among them the address of a server in place of the
            directory, which needs a token: see `HttpConfigs`.
        ImportError: there is no module of the name given for additional conditions.
    """
    for name, text in (
        ("bootstrap_servers", bootstrap_servers),
        ("app", app),
        ("environment_name", environment_name),
        ("topic", topic),
    ):
        require_name(name, text)
    if isinstance(configs, str) and configs.startswith(("http://", "https://")):
        raise InvalidSetting("A server is asked with a token: pass configs=usersplit.HttpConfigs(url, token=…).")
    with ExitStack() as until_all_is_well:
        hits = until_all_is_well.enter_context(
            HitLogger(
                KafkaHitTransport(bootstrap_servers, topic=topic, **(kafka or {})),
                app=app,
                environment_name=environment_name,
                host=socket.gethostname() if host is None else host,
                capacity=capacity,
                capacity_bytes=capacity_bytes,
                spool_directory=spool_directory,
                spool_bytes=spool_bytes,
                write_ahead=write_ahead,
                remembered_exposures=remembered_exposures,
            )
        )
        if isinstance(configs, (str, os.PathLike)):
            configs = until_all_is_well.enter_context(DirectoryConfigs(configs, reload_seconds=reload_seconds))
        client = UserSplit(
            configs=configs,
            hits=hits,
            environment_name=environment_name,
            additional_conditions=additional_conditions,
        )
        until_all_is_well.pop_all()
    return client
