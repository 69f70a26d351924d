"""Every dump of every released schema migrates to the newest one, and its whole history is read and goes on."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import select

from events.database import open_database
from events.facts import REGISTRY, split_test_stream
from events.sql_store import SqlEventStore, commands_table
from events.store import Appended, Command, recorded
from migrations.run import current, upgrade
from tests.support.event_stores import BY_ANNA, published
from tests.support.released_dumps import released, restore

ROOT = Path(__file__).parents[2]
KINDS_AT_FIRST = 16


@pytest.fixture
def restored_url(dump: Path, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if dump.name.endswith(".sqlite.sql"):
        url = f"sqlite:///{tmp_path / 'restored.db'}"
    else:
        url = str(request.getfixturevalue("postgres_url"))
    restore(url, dump.read_text(encoding="utf-8"))
    return url


def test_every_revision_but_the_newest_which_may_still_change_has_a_dump_of_each_kind() -> None:
    versions = ScriptDirectory(str(ROOT / "migrations"))
    older = {revision.revision for revision in versions.walk_revisions()} - set(versions.get_heads())
    expected = {f"{revision}.{kind}.sql" for revision in older for kind in ("sqlite", "postgres")}

    assert expected
    assert expected <= {dump.name for dump in released()}


@pytest.mark.parametrize("dump", released(), ids=lambda dump: dump.name)
def test_a_released_dump_migrates_and_replays(restored_url: str, dump: Path) -> None:
    assert current(restored_url) == dump.name.split(".")[0]

    upgrade(restored_url)

    engine = open_database(restored_url)
    store = SqlEventStore(engine, REGISTRY)
    history = store.read(after=0, limit=1000)
    assert [event.position for event in history] == list(range(1, store.head() + 1))
    assert len({event.encoded.name for event in history}) >= KINDS_AT_FIRST
    assert [split_test_stream(recorded(event, REGISTRY).fact.key) for event in history] == [
        event.stream for event in history
    ]
    engine.dispose()


@pytest.mark.parametrize("dump", released(), ids=lambda dump: dump.name)
def test_a_released_dump_goes_on_where_it_stopped(restored_url: str, dump: Path) -> None:
    del dump
    upgrade(restored_url)
    engine = open_database(restored_url)
    store = SqlEventStore(engine, REGISTRY)
    head, last = store.head(), store.read(after=0, limit=1000)[-1]
    with engine.connect() as connection:
        answers = connection.execute(select(commands_table)).all()
    assert len(answers) == head

    replay = store.append(
        "any",
        [published()],
        expected_version=0,
        provenance=BY_ANNA,
        command=Command(command_id=last.command_id, fingerprint="body"),
    )
    further = store.append(last.stream, [published()], expected_version=last.version, provenance=BY_ANNA)

    assert replay == Appended(stream=last.stream, version=last.version, position=head, answer="done", replayed=True)
    assert further.position == head + 1
    engine.dispose()
