"""Which tests are not yet on every live server, and when a server counts as live."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Engine

from events.database import write_transaction
from events.facts import REGISTRY
from projections import laid_out, models
from projections.laid_out import Report
from projections.projector import Projector
from tests.support.relayed_facts import create, publish, start, store_of

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)


def report(host: str, tests: Mapping[str, int], *, environment: str = "production", position: int = 0) -> Report:
    return Report(environment=environment, host=host, position=position, tests=tests)


def record(engine: Engine, told: Report, offset: int) -> bool:
    with write_transaction(engine) as connection:
        return laid_out.record(connection, told, offset=offset, at=NOW)


def listen(engine: Engine, seconds: float) -> None:
    with write_transaction(engine) as connection:
        laid_out.add_silence(connection, seconds, at=NOW, silent_after=300, forget_after=3600)


def live(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [server.name for server in laid_out.live_servers(connection)]


def missing(engine: Engine) -> dict[str, list[str]]:
    with engine.connect() as connection:
        return laid_out.not_laid_out(connection)


def publish_two(engine: Engine) -> tuple[int, int]:
    store = store_of(engine)
    positions = []
    for key in ("a", "b"):
        create(store, key)
        positions.append(publish(store, key))
    create(store, "a_draft_is_nobodys_business")
    catch_up(engine)
    return positions[0], positions[1]


def catch_up(engine: Engine) -> None:
    Projector(engine=engine, store=store_of(engine), registry=REGISTRY, projections=models.ALL).catch_up()


def test_a_test_is_red_until_every_live_server_has_its_newest_config(database: Engine) -> None:
    a, b = publish_two(database)
    assert missing(database) == {}, "nobody is live, so nobody misses anything"
    record(database, report("web-1", {}), 0)
    record(database, report("web-1", {"a": a}, environment="devel"), 1)
    assert missing(database) == {"a": ["production/web-1"], "b": ["devel/web-1", "production/web-1"]}
    record(database, report("web-1", {"a": a, "b": b}), 2)
    record(database, report("web-1", {"a": a, "b": b + 5}, environment="devel"), 3)
    assert missing(database) == {}
    start(store_of(database), "a")
    catch_up(database)
    assert missing(database) == {"a": ["devel/web-1", "production/web-1"]}


def test_a_report_replaces_the_one_before_it(database: Engine) -> None:
    a, b = publish_two(database)
    record(database, report("web-1", {"a": a, "b": b, "gone": 1}), 0)
    record(database, report("web-1", {"a": a - 1}), 1)
    assert missing(database) == {"a": ["production/web-1"], "b": ["production/web-1"]}


def test_a_report_that_comes_again_changes_nothing_and_revives_nobody(database: Engine) -> None:
    publish_two(database)
    record(database, report("web-1", {"a": 1}), 7)
    listen(database, 301)
    assert not record(database, report("web-1", {"a": 1}), 7)
    assert not record(database, report("web-1", {"a": 99, "b": 99}), 3)
    assert live(database) == []
    assert record(database, report("web-1", {"a": 1}), 8)
    assert live(database) == ["production/web-1"]


def test_a_server_that_falls_silent_ages_out_and_is_forgotten_at_last(database: Engine) -> None:
    publish_two(database)
    record(database, report("web-1", {}), 0)
    record(database, report("web-2", {}), 1)
    for offset in range(2, 12):
        listen(database, 60)
        record(database, report("web-2", {}), offset)
    assert live(database) == ["production/web-2"]
    assert missing(database) == {"a": ["production/web-2"], "b": ["production/web-2"]}
    with database.connect() as connection:
        [silent, heard] = laid_out.servers(connection)
    assert (silent.name, silent.is_live, silent.silent_seconds) == ("production/web-1", False, 600)
    assert (heard.is_live, heard.silent_seconds) == (True, 0)
    listen(database, 3001)
    with database.connect() as connection:
        assert [server.host for server in laid_out.servers(connection)] == ["web-2"]


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(database: Engine) -> None:
    record(database, report("web-1", {"a": 5}, position=5), 1000)
    with write_transaction(database) as connection:
        assert laid_out.newest_offset(connection) == 1000
        laid_out.begin_anew(connection)
    assert live(database) == ["production/web-1"]
    assert record(database, report("web-1", {"a": 6}, position=6), 0)


def test_a_thousand_tests_on_a_server_are_taken_in_whole(sqlite_database: Engine) -> None:
    publish_two(sqlite_database)
    tests = {f"test_{number}": number for number in range(1000)}
    for number in range(3):
        record(sqlite_database, report(f"web-{number}", {**tests, "a": 1000}), number)
    assert missing(sqlite_database) == {"b": [f"production/web-{number}" for number in range(3)]}
