"""The migrations make what the code expects, once, however often and however many at once run them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import main
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Engine, MetaData, Text, inspect, select
from sqlalchemy.exc import DBAPIError

from accounts import tables as accounts
from api import first_answers
from consumers import republish_requests
from events import checkpoints, sql_store
from events.database import open_database, write_transaction
from migrations.run import current, upgrade
from projections import laid_out

ROOT = Path(__file__).parents[2]
NEWEST = ScriptDirectory(str(ROOT / "migrations")).get_current_head()


def code_metadata() -> MetaData:
    merged = MetaData()
    for metadata in (
        sql_store.metadata,
        checkpoints.metadata,
        laid_out.metadata,
        republish_requests.metadata,
        accounts.metadata,
        first_answers.metadata,
    ):
        for table in metadata.tables.values():
            table.to_metadata(merged)
    return merged


def only_known_tables(object_: object, name: str | None, kind: str, reflected: bool, against: object) -> bool:  # noqa: FBT001 - alembic's hook
    del object_, reflected, against
    return kind != "table" or name in code_metadata().tables


def differences(engine: Engine, metadata: MetaData) -> list[object]:
    options = {"compare_type": True, "include_object": only_known_tables}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('empty') / 'usersplit.db'}"
    return str(request.getfixturevalue("postgres_url"))


def test_the_migrated_schema_is_the_schema_of_the_code(database: Engine) -> None:
    assert differences(database, code_metadata()) == []


def test_the_comparison_of_schemas_sees_a_missing_column(database: Engine) -> None:
    planted = code_metadata()
    planted.tables["events"].append_column(Column("planted", Text))

    assert differences(database, planted) != []


def test_a_database_that_was_never_migrated_has_no_revision(empty_url: str) -> None:
    assert current(empty_url) == ""


def test_migrating_twice_changes_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    revision = current(empty_url)
    upgrade(empty_url)

    assert revision == NEWEST
    assert current(empty_url) == revision


def test_runs_at_the_same_time_wait_for_each_other(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [empty_url] * 4))

    engine = open_database(empty_url)
    with engine.connect() as connection:
        counters = connection.execute(select(sql_store.event_counter_table)).all()
    engine.dispose()
    assert [tuple(row) for row in counters] == [(1, 0)]


def test_the_alembic_command_does_the_same_and_finds_nothing_left_to_do(empty_url: str) -> None:
    alembic = ["-c", str(ROOT / "alembic.ini"), "-x", f"url={empty_url}"]

    main([*alembic, "upgrade", "head"])

    assert current(empty_url) == NEWEST
    main([*alembic, "check"])


def test_the_alembic_command_asks_for_a_database() -> None:
    with pytest.raises(SystemExit, match="Say which database"):
        main(["-c", str(ROOT / "alembic.ini"), "upgrade", "head"])


def test_a_migration_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    engine = open_database(empty_url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE projections (in_the_way INTEGER)")

    with pytest.raises(DBAPIError, match="projections"):
        upgrade(empty_url)

    assert inspect(engine).get_table_names() == ["projections"]
    engine.dispose()


def test_the_log_cannot_be_migrated_away(empty_url: str) -> None:
    upgrade(empty_url)

    with pytest.raises(RuntimeError, match="it is the history"):
        main(["-c", str(ROOT / "alembic.ini"), "-x", f"url={empty_url}", "downgrade", "base"])

    assert current(empty_url) == NEWEST
