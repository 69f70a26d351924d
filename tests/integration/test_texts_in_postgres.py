"""How PostgreSQL keeps the texts of read models: as they are, but for keys, which an index takes only compressed."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, func, select

from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from projections import changelog, registry
from projections.models import ALL
from projections.rebuild import rebuild_many
from tests.support.histories import created, forced, running, whole_life_of_user_group
from tests.support.read_models import ReadModels

pytestmark = pytest.mark.real_postgres


@pytest.fixture
def models(migrated_postgres_url: str) -> Iterator[ReadModels]:
    engine = open_database(migrated_postgres_url)
    yield ReadModels(engine, store=SqlEventStore(engine, REGISTRY))
    engine.dispose()


def rebuild_all(models: ReadModels) -> None:
    rebuild_many(engine=models.engine, store=models.store, registry=REGISTRY, projections=ALL)


def compression_of_facts(engine: Engine) -> list[tuple[bool, str | None]]:
    """Return, for each entry of the changelog, whether it is long and by what it is compressed."""
    with engine.connect() as connection:
        fact = registry.live_tables(connection, changelog.PROJECTION)["changelog"].c.fact
        query = select(func.length(fact) > 10_000, func.pg_column_compression(fact))
        return [(is_long, compression) for is_long, compression in connection.execute(query)]


def test_a_text_is_not_compressed_whoever_wrote_it(models: ReadModels) -> None:
    models.given(created(description="again and " * 1000))
    assert compression_of_facts(models.engine) == [(True, None)]
    rebuild_all(models)
    assert compression_of_facts(models.engine) == [(True, None)]


def test_a_key_that_the_log_can_hold_can_be_held_by_read_models(models: ReadModels) -> None:
    long = "k" * 20_000  # longer than an index takes, unless it is compressed
    models.given(*running(long), *whole_life_of_user_group(long), forced(key=long, unit=f"user:{long}"))
    rebuild_all(models)
    with models.engine.connect() as connection:
        assert {each.state for each in registry.generations(connection)} == {"live"}
        assert len(changelog.entries(connection, long)) == len(running(long))
