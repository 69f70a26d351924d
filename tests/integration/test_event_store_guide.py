"""The guide to dump and restore (docs/event-store.md), followed to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from consumers.agent import Agent
from events.database import open_database, write_transaction
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from streams.memory import MemoryBroker
from streams.topics import CONFIGS, LIFECYCLE, all_topics
from tests.support.event_stores import BY_ANNA, ORDER, some_facts
from tests.support.relayed_facts import MOMENT, create, publish, relay_of, store_of
from tests.support.relayed_records import everything
from tests.support.released_dumps import environment_with_postgres_programs

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "event-store.md").read_text(encoding="utf-8")


def blocks(heading: str, language: str) -> list[str]:
    section = GUIDE.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)


def follow(block: str, directory: Path, urls: dict[str, str]) -> None:
    environment = environment_with_postgres_programs()
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"
    subprocess.run(["bash", "-euc", block], cwd=directory, env=environment | urls, check=True)


@pytest.mark.parametrize("heading", ["PostgreSQL", "SQLite"])
def test_what_was_dumped_by_the_guide_is_restored_by_it(
    heading: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if heading == "SQLite":
        running, restored = str(request.getfixturevalue("migrated_sqlite_url")), f"sqlite:///{tmp_path / 'restored.db'}"
    else:
        running = str(request.getfixturevalue("migrated_postgres_url"))
        restored = str(request.getfixturevalue("postgres_url"))
    urls = {"USERSPLIT_DATABASE_URL": running, "RESTORED_DATABASE_URL": restored}
    dump, restore = blocks(heading, "sh")
    (check,) = blocks("Check, then switch", "sql")

    engine = open_database(running)
    store = SqlEventStore(engine, REGISTRY)
    store.append("stream", some_facts(3), expected_version=0, provenance=BY_ANNA, command=ORDER)
    follow(dump, tmp_path, urls)
    dumped = store.read(after=0, limit=10)
    store.append("stream", some_facts(1), expected_version=3, provenance=BY_ANNA)
    engine.dispose()
    follow(restore, tmp_path, urls)

    engine = open_database(restored)
    store = SqlEventStore(engine, REGISTRY)
    assert store.read(after=0, limit=10) == dumped
    replay = store.append("stream", some_facts(3), expected_version=0, provenance=BY_ANNA, command=ORDER)
    assert replay.replayed
    assert store.append("stream", some_facts(1), expected_version=3, provenance=BY_ANNA).position == 4
    with engine.connect() as connection:
        assert set(connection.execute(text(check)).one()) == {4}
    engine.dispose()


def test_after_lost_facts_the_guide_fills_topics_and_servers_anew(database: Engine, tmp_path: Path) -> None:
    store = store_of(database)
    for key in ("a", "b"):
        create(store, key)
        publish(store, key)
    before = MemoryBroker()
    before.ensure_topics(all_topics(hit_partitions=1))
    relay_of(database, before, now=lambda: MOMENT).step()

    (forget,) = blocks("If facts were lost", "sql")
    with write_transaction(database) as connection:
        connection.exec_driver_sql(forget)
    anew = MemoryBroker()
    anew.ensure_topics(all_topics(hit_partitions=1))
    relay_of(database, anew, now=lambda: MOMENT).step()
    Agent(anew, tmp_path).step(timeout_seconds=0)
    assert {file.name for file in tmp_path.glob("*.json")} >= {"a.json", "b.json"}
    for topic in (LIFECYCLE, CONFIGS):
        assert [m.value for m in everything(anew, topic)] == [m.value for m in everything(before, topic)]
