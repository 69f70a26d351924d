"""A rebuild whose PostgreSQL loses its power: at every commit, and right after.

The batches of a rebuild commit without waiting for the disk. What is lost with them must be nothing that readers were
given, and what readers were given once must stay.
"""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Connection, event, inspect, update

from events.database import open_database, write_transaction
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from projections import changelog, current_settings, registry
from projections.errors import OUTAGES
from projections.progress import Progress
from projections.rebuild import rebuild_many
from tests.support.database import migrate
from tests.support.histories import running, whole_life
from tests.support.postgres_power import PostgresWithPower
from tests.support.read_models import ReadModels

MODELS = (changelog.PROJECTION, current_settings.PROJECTION)
BATCH_SIZE = 8


class Moments:
    """The moments of one rebuild in order, "commit" being right before one; at the fatal one the power is cut."""

    def __init__(self, power: PostgresWithPower, fatal: int | None) -> None:
        self._power = power
        self._fatal = fatal
        self.passed: list[str] = []

    def before_commit(self, connection: Connection) -> None:
        del connection
        self._pass("commit")

    def report(self, progress: Progress) -> None:
        self._pass(progress.stage)

    def _pass(self, moment: str) -> None:
        if self._fatal == len(self.passed):
            self._power.cut_power()
        self.passed.append(moment)


@pytest.fixture
def models(postgres_with_power: PostgresWithPower) -> Iterator[ReadModels]:
    migrate(postgres_with_power.url)
    engine = open_database(postgres_with_power.url)
    models = ReadModels(engine, store=SqlEventStore(engine, REGISTRY), projections=MODELS)
    models.given(*whole_life(), *running("a"), *running("b"))
    yield models
    engine.dispose()


def rebuild(models: ReadModels, power: PostgresWithPower, fatal: int | None = None) -> list[str]:
    """Rebuild both models, and cut the power at the moment of that number; return the moments up to there, or all."""
    moments = Moments(power, fatal)
    event.listen(models.engine, "commit", moments.before_commit)
    with suppress(*OUTAGES if fatal is not None else ()):
        rebuild_many(
            engine=models.engine,
            store=models.store,
            registry=REGISTRY,
            projections=MODELS,
            progress=moments.report,
            batch_size=BATCH_SIZE,
        )
    event.remove(models.engine, "commit", moments.before_commit)
    assert power.is_cut == (fatal is not None)
    return moments.passed[: None if fatal is None else fatal + 1]


def deface(models: ReadModels) -> None:
    """Make the serving rows differ from those that a rebuild makes."""
    with write_transaction(models.engine) as connection:
        entries = registry.live_tables(connection, changelog.PROJECTION)["changelog"]
        settings = registry.live_tables(connection, current_settings.PROJECTION)["current_settings"]
        connection.execute(update(entries).values(actor="defaced"))
        connection.execute(update(settings).values(type="defaced"))


def generations(models: ReadModels) -> list[registry.Generation]:
    with models.engine.connect() as connection:
        return registry.generations(connection)


def tables(models: ReadModels) -> set[str]:
    return {name for name in inspect(models.engine).get_table_names() if "_g" in name}


@pytest.mark.real_postgres
def test_a_power_cut_leaves_readers_the_old_rows_before_the_switch_and_the_new_ones_after_it(
    models: ReadModels, postgres_with_power: PostgresWithPower
) -> None:
    power = postgres_with_power
    rows_of_followers = models.stored()
    moments = rebuild(models, power)
    assert moments.count("building") == 4
    for fatal, moment in enumerate(moments):
        deface(models)
        defaced = models.stored()
        before = rebuild(models, power, fatal)
        assert before == moments[: fatal + 1]
        power.restore_power()

        is_switched = "dropping" in before
        assert models.stored() == (rows_of_followers if is_switched else defaced), f"cut at {fatal}, {moment}"
        if moment == "building":
            unfinished = [each.position for each in generations(models) if each.state == "building"]
            assert unfinished == [0, 0], "batches whose commit waited for nothing outlived the cut: it was none"

        rebuild(models, power)
        assert models.stored() == rows_of_followers
        assert [each.state for each in generations(models)] == ["live", "live"]
        assert tables(models) == {f"{each.name}_g{each.generation}" for each in generations(models)}
