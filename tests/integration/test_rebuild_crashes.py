"""Rebuilds that are killed at every commit, and rebuilds under load: readers notice nothing."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, inspect

from consumers.projector import follow
from events.database import open_database
from events.facts import REGISTRY
from events.sql_store import SqlEventStore
from projections import changelog, current_settings, registry
from projections.projection import Tables
from projections.rebuild import rebuild
from tests.support.histories import KEY, created, whole_life
from tests.support.read_models import ReadModels

ROOT = Path(__file__).parents[2]
MODEL = changelog.PROJECTION
MODELS = (changelog.PROJECTION, current_settings.PROJECTION)


def killed_before_commit(url: str, commit: int) -> bool:
    """Run a rebuild that dies right before that commit; False if it was done before."""
    names = ",".join(model.name for model in MODELS)
    finished = subprocess.run(
        [sys.executable, "-m", "tests.support.interrupted_rebuild", url, names, str(commit), "8"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}"},
        check=False,
        timeout=120,
    )
    assert finished.returncode in {0, -signal.SIGKILL}
    return finished.returncode != 0


def test_a_rebuild_killed_before_any_of_its_commits_changes_nothing_and_the_next_one_works(database_url: str) -> None:
    engine = open_database(database_url)
    models = ReadModels(engine, store=SqlEventStore(engine, REGISTRY), projections=MODELS)
    models.given(*whole_life())
    expected = models.stored()
    commit = 1
    while killed_before_commit(database_url, commit):
        assert models.stored() == expected
        models.given(created(f"after-{commit}"))
        expected = models.stored()
        assert len(expected["changelog"]) == models.store.head()
        commit += 1
    assert commit > 7, "begin, remove the two dead ones, three batches, switch, drop"
    assert models.stored() == expected
    with engine.connect() as connection:
        served = {model.name: registry.generations(connection, model.name) for model in MODELS}
    assert all([each.state for each in generations] == ["live"] for generations in served.values())
    in_use = {name for model in MODELS for name in names_of(model.tables(served[model.name][0].generation))}
    assert {name for name in inspect(engine).get_table_names() if "_g" in name} == in_use
    engine.dispose()


def names_of(tables: Tables) -> set[str]:
    return {table.name for table in tables.values()}


def test_rebuilds_under_load_lose_nothing_and_readers_never_see_less_than_before(database: Engine) -> None:
    models = ReadModels(database, store=SqlEventStore(database, REGISTRY), projections=[MODEL])
    models.given(*whole_life())
    stop = threading.Event()

    def read() -> int:
        most = 0
        while not stop.is_set():
            with database.connect() as connection:
                seen = len(changelog.entries(connection, KEY))
            assert seen >= most, "a reader went back in time, or saw an empty table"
            most = max(most, seen)
        return most

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            models.append([created(f"load-{number}")])

    with ThreadPoolExecutor(max_workers=4) as threads:
        running: list[Future[Any]] = [
            threads.submit(read),
            threads.submit(write),
            threads.submit(follow, models.projector, stop, poll_interval_seconds=0.01),
        ]
        try:
            for batch_size in (3, 7, 1000):
                rebuild(
                    engine=database,
                    store=models.store,
                    registry=REGISTRY,
                    projection=MODEL,
                    batch_size=batch_size,
                )
        finally:
            stop.set()
        for each in running:
            each.result(timeout=60)
    models.projector.catch_up()
    assert len(models.stored()["changelog"]) == models.store.head()
