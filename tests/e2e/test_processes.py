"""One test's whole life with every process on its own, on a real Kafka and a real PostgreSQL."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

import usersplit
from events.database import open_database
from tests.support.kafka import RealKafka
from tests.support.postgres import PostgresServer
from tests.support.terminal import Terminal, wait_until
from warehouse.postgres_hits import PostgresHits

PROCESSES = (
    "projector",
    "preparer",
    "relay",
    "agent",
    "laid-out",
    "bi-sink",
    "dimensions",
    "code-deployed",
    "override-expiry",
    "notifier",
    "registry",
)
KEY = "green_button"


@pytest.fixture
def terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kafka: RealKafka, postgres_server: PostgresServer
) -> Iterator[Terminal]:
    with postgres_server.new_database() as database_url, postgres_server.new_database() as warehouse_url:
        terminal = Terminal(
            capsys,
            {
                "USERSPLIT_ACTOR": "ann",
                "USERSPLIT_DATABASE_URL": database_url,
                "USERSPLIT_WAREHOUSE_URL": warehouse_url.replace("postgresql+psycopg", "postgresql"),
                "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "USERSPLIT_CONFIG_DIRECTORY": str(tmp_path / "configs"),
                "USERSPLIT_ENVIRONMENT_NAME": "production",
                "USERSPLIT_HOST": "web-1",
                "USERSPLIT_METRICS_PORT": "0",
                "USERSPLIT_REGISTRY_PORT": "0",
            },
        )
        terminal.done("migrate")
        yield terminal


def status_on_the_server(directory: Path) -> str:
    path = directory / f"{KEY}.json"
    return str(json.loads(path.read_text())["status"]) if path.exists() else ""


def told_of_servers(terminal: Terminal) -> tuple[list[str], int]:
    [row] = terminal.run("list", "--json").json()
    return row["not_laid_out_on"], row["live_servers"]


def listed(terminal: Terminal) -> str:
    return terminal.done("show", KEY)


def in_bi_changes(terminal: Terminal) -> str:
    engine = open_database(terminal.environment["USERSPLIT_WAREHOUSE_URL"].replace("postgresql", "postgresql+psycopg"))
    try:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT sentence FROM changes WHERE test_key = :key"), {"key": KEY})
            return "\n".join(row.sentence for row in rows)
    finally:
        engine.dispose()


@pytest.mark.long
@pytest.mark.timeout(600)  # of a machine so busy that it takes minutes; what is waited for has limits of its own
@pytest.mark.real_kafka
@pytest.mark.real_postgres
def test_from_a_managers_command_to_a_row_in_bi(terminal: Terminal, tmp_path: Path, kafka: RealKafka) -> None:
    configs, settings = tmp_path / "configs", tmp_path / "settings.json"
    settings.write_text(
        json.dumps(
            {
                "starts_at": "2026-01-01",
                "ends_at": "2036-01-01",
                "conditions": [{"filter": "platform", "operator": "eq", "value": "web"}],
                "total_percent": 50,
                "variants": [{"name": "control", "control": True}, {"name": "green"}],
            }
        )
    )
    with ExitStack() as stack:
        for process in PROCESSES:
            stack.enter_context(terminal.process(process))
        terminal.done("create", KEY, "--name", "Green button")
        terminal.done("propose", KEY, str(settings))
        terminal.done("publish", KEY)
        # Eleven processes start at once: on a busy machine that alone takes most of a minute.
        wait_until(
            "the config of the test In Dev is laid out",
            lambda: status_on_the_server(configs) == "in_dev",
            timeout_seconds=120,
        )

        service = stack.enter_context(
            usersplit.connect(
                configs=configs,
                bootstrap_servers=kafka.bootstrap_servers,
                app="shop",
                environment_name="production",
                reload_seconds=0.1,
            )
        )
        web = usersplit.Environment(platform="web")
        shown: Counter[str | None] = Counter()
        for group in range(1, 2401):
            tester = usersplit.User(id=f"t{group}", split_group=group, attributes={"is_test_user": True})
            shown[service.get_active_variant(KEY, tester, web)] += 1
        assert shown == {"control": 600, "green": 600, None: 1200}
        wait_until("the code is seen to be deployed", lambda: "code deployed" in listed(terminal))

        terminal.done("start", KEY)
        wait_until("the config of the running test is laid out", lambda: status_on_the_server(configs) == "running")
        stranger = usersplit.User(id="u1", split_group=1)
        wait_until("the service sees it", lambda: service.explain(KEY, stranger, web).status == "running")
        for number in range(5000):
            user = usersplit.User(id=number, split_group=number % 2400 + 1)
            shown[service.get_active_variant(KEY, user, web)] += 1
        assert service.get_active_variant(KEY, stranger, usersplit.Environment(platform="ios")) is None
        assert service.flush(60)
        del shown[None]

        warehouse = PostgresHits(terminal.environment["USERSPLIT_WAREHOUSE_URL"])
        stack.callback(warehouse.close)

        def in_bi() -> Counter[str]:
            return Counter({row.variant: row.hits for row in warehouse.hits_per_variant(KEY)})

        wait_until("every hit is in BI", lambda: in_bi() == shown)
        wait_until("the agent's report arrives", lambda: told_of_servers(terminal) == ([], 1))
        wait_until("the test's start is in BI", lambda: "Started the test" in in_bi_changes(terminal))
        changes = terminal.run("changelog", KEY, "--json").json()
    assert [entry["actor"] for entry in changes].count("code-deployed") == 1
    assert service.stats().accepted == shown.total()
