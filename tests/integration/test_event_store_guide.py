"""The guide to dump and restore (docs/event-store.md), followed to the letter."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from tests.support.event_stores import BY_ANNA, ORDER, some_facts
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
