"""UserSplit on embedded parts: SQLite, DuckDB and librdkafka's broker, all within this process, under one directory."""

import time
from collections.abc import Callable
from pathlib import Path
from socket import socket
from threading import Event
from types import TracebackType
from typing import Self

from pydantic import SecretStr
from sqlalchemy import Engine

from consumers.agent import Agent
from consumers.bi_sink import GROUP as BI_SINK_GROUP
from consumers.bi_sink import BiSink
from consumers.bi_sink_limits import BatchLimits
from consumers.code_deployed import CHECKPOINTS as CODE_DEPLOYED_CHECKPOINTS
from consumers.code_deployed import GROUP as CODE_DEPLOYED_GROUP
from consumers.code_deployed import CodeDeployedWatcher
from consumers.dead_letters import DeadLetterWriter
from consumers.dimensions import DimensionsFollower
from consumers.hit_report_export import HitReportsFollower
from consumers.laid_out import LaidOutFollower
from consumers.laid_out_reports import LaidOutReporter
from consumers.notifier import NotifierFollower
from consumers.override_expiry import OverrideExpiry
from consumers.projector import follow
from consumers.relay import CHECKPOINT as RELAY_CHECKPOINT
from consumers.relay import Relay
from entrypoints.backbone import Backbone, migrate
from entrypoints.clock import now
from entrypoints.databases import traffic_of
from entrypoints.metrics import Metrics
from entrypoints.serve import serve
from entrypoints.settings import ServeSettings
from entrypoints.threads import Crew
from events.checkpoints import forget
from events.database import write_transaction
from events.facts import REGISTRY
from notifications.notifier import Notifier
from projections.laid_out import begin_anew
from streams.kafka_broker import KafkaBroker
from streams.kafka_embedded import EmbeddedBroker
from streams.topics import HIT_REPORTS, HITS, LIFECYCLE, all_topics
from warehouse.duckdb_dimensions import DuckDbDimensions
from warehouse.duckdb_hits import DuckDbHits
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_duckdb

_USERS = "users"
"""The table that the shipped catalog of filters maps."""


class TookTooLong(Exception):
    """Something that should have happened by now did not."""


class EmbeddedUserSplit:
    """The whole of UserSplit in one process: enter it to start all parts, leave it to stop them.

    Args:
        directory: where the databases and the config files are; made if it is missing, and kept.
        notifier: who is told what there is to tell.
        made_up_users: how many users there are to be counted, if the directory has no users table yet.
        pages: where the API and the managers' pages are served, a socket that listens; None: they are not. One of these
            objects a process can serve them.
        let_in: makes the accounts of who may sign in there, before anything is served.
    """

    def __init__(
        self,
        directory: Path,
        *,
        notifier: Notifier,
        made_up_users: int = 1_000_000,
        pages: socket | None = None,
        let_in: Callable[[Engine], None] = lambda _: None,
    ) -> None:
        self.directory = directory
        self.config_directory = directory / "configs"
        self.database_url = f"sqlite:///{directory / 'usersplit.db'}"
        self.warehouse_path = directory / "warehouse.duckdb"
        self._notifier = notifier
        self._made_up_users = made_up_users
        self._pages = pages
        self._let_in = let_in
        self._crew = Crew()

    def __enter__(self) -> Self:
        self.config_directory.mkdir(parents=True, exist_ok=True)
        migrate(self.database_url)
        self.embedded_broker = EmbeddedBroker()
        self.broker = KafkaBroker(self.embedded_broker.bootstrap_servers, embedded=True)
        self.broker.ensure_topics(all_topics(hit_partitions=4))
        self.warehouse = DuckDbHits(self.warehouse_path)
        self.warehouse.prepare()
        self.backbone = Backbone(self.database_url, users=self._users())
        self._dimensions = DuckDbDimensions(self.warehouse)
        self._dimensions.prepare(LIFECYCLE)
        self._forget_the_last_broker()
        self._let_in(self.backbone.engine)
        # All parts start at once. Whoever reads a model before the projector has built it warns, and asks later.
        self.backbone.projector.catch_up()
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._crew.stop()
        self.warehouse.close()
        self.backbone.close()
        self.embedded_broker.close()

    def check(self) -> None:
        """Return if all parts are well.

        Raises:
            PartFailed: one of them ended.
        """
        self._crew.check()

    def wait_for(self, what: str, condition: Callable[[], bool], *, timeout_seconds: float = 120.0) -> None:
        """Return once `condition()` holds.

        Raises:
            TookTooLong: it did not within the timeout.
            PartFailed: a part ended meanwhile.
        """
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise TookTooLong(f"{what}: not within {timeout_seconds:.0f} s")
            time.sleep(0.05)

    def _users(self) -> DuckDbUsers:
        users = DuckDbUsers(self.warehouse.cursor)
        if not users.column_types(_USERS):
            generate_duckdb(users, _USERS, users=self._made_up_users, seed=1)
        return users

    def _forget_the_last_broker(self) -> None:
        """Start every reader and the relay from the beginning: this broker is new and empty, whatever the last held."""
        self.warehouse.forget_offsets(HITS)
        self.warehouse.forget_offsets(LIFECYCLE)
        self.warehouse.forget_offsets(HIT_REPORTS)
        with write_transaction(self.backbone.engine) as connection:
            forget(connection, RELAY_CHECKPOINT)
            forget(connection, CODE_DEPLOYED_CHECKPOINTS)
            begin_anew(connection)

    def _start(self) -> None:
        backbone, broker, crew = self.backbone, self.broker, self._crew
        crew.start("projector", lambda stop: follow(backbone.projector, stop))
        crew.start("preparer", backbone.prepare)
        if backbone.audience is not None:
            crew.start("live-numbers", backbone.audience.run)
        crew.start("relay", self._relay().run)
        crew.start("agent", self._run_agent)
        crew.start("laid-out", LaidOutFollower(engine=backbone.engine, broker=broker, now=now).run)
        crew.start("bi-sink", self._bi_sink().run)
        dimensions = DimensionsFollower(broker=broker, warehouse=self._dimensions, registry=REGISTRY)
        crew.start("dimensions", dimensions.run)
        crew.start("hit-reports", HitReportsFollower(broker=broker, warehouse=self._dimensions).run)
        code_deployed = CodeDeployedWatcher(
            source=broker.source(CODE_DEPLOYED_GROUP), engine=backbone.engine, commands=backbone.split_tests
        )
        crew.start("code-deployed", code_deployed.run)
        expiry = OverrideExpiry(engine=backbone.engine, commands=backbone.overrides, now=now)
        crew.start("override-expiry", expiry.run)
        notifier = NotifierFollower(
            engine=backbone.engine, store=backbone.store, registry=REGISTRY, notifier=self._notifier
        )
        crew.start("notifier", notifier.run)
        if self._pages is not None:
            settings = ServeSettings(database_url=SecretStr(self.database_url), http_port=self._pages.getsockname()[1])
            traffic, groups = traffic_of(self.warehouse), broker.groups()
            crew.start(
                "serve",
                lambda stop: serve(
                    backbone,
                    settings,
                    stop,
                    Metrics(),
                    listening=self._pages,
                    traffic=traffic,
                    groups=groups,
                    stored=self.warehouse.offsets,
                    environment="embedded parts",
                ),
            )

    def _relay(self) -> Relay:
        backbone = self.backbone
        return Relay(
            engine=backbone.engine,
            store=backbone.store,
            broker=self.broker,
            catch_up=backbone.projector.catch_up,
            now=now,
        )

    def _run_agent(self, stop: Event) -> None:
        reporter = LaidOutReporter(self.broker, environment="production", host="embedded", now=now)
        agent = Agent(self.broker, self.config_directory, tell=reporter.tell)
        with reporter.running():
            agent.run(stop)

    def _bi_sink(self) -> BiSink:
        return BiSink(
            source=self.broker.source(BI_SINK_GROUP),
            warehouse=self.warehouse,
            dead_letters=DeadLetterWriter(self.broker.producer, now=now),
            batches=BatchLimits(freshness_seconds=0.2),
        )
