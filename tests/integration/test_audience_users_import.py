"""Users from files, and split groups for those who have none."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sqlalchemy import column, func, select, table

from warehouse.clickhouse_users import ClickHouseUsers
from warehouse.clickhouse_users_import import backfill_clickhouse, import_into_clickhouse
from warehouse.duckdb_users import DuckDbUsers
from warehouse.errors import WarehouseRefused
from warehouse.generated_users import generate_clickhouse, generate_duckdb, generate_postgres
from warehouse.postgres_users import PostgresUsers
from warehouse.split_group_backfill import backfill_duckdb, backfill_postgres
from warehouse.users import Statement, UsersDatabase
from warehouse.users_import import import_into_duckdb, import_into_postgres

FIRST = (
    'user_id,name,country_id,is_paying,seen_at\n1,Anna,50,true,2026-05-01 10:00:00\n2,"O\'Neil, Jr",,false,\n3,,68,,\n'
)
SECOND = 'user_id,name,country_id,is_paying,seen_at\n2,"O""Neil",77,true,\n4,"",7,false,\n'
OPEN_FILES = Path("/proc/self/fd")


def open_files() -> list[Path]:
    return [link.resolve() for link in OPEN_FILES.iterdir()]


class Users:
    """A users table in one of the databases, with what may be done to it.

    Attributes:
        is_at_once: whether an import that was killed has changed nothing, instead of some batches.
    """

    def __init__(self, database: DuckDbUsers | PostgresUsers | ClickHouseUsers) -> None:
        self.database: UsersDatabase = database
        self.is_at_once = isinstance(database, ClickHouseUsers)
        self._typed = database

    def imported(self, path: Path, **options: Any) -> int:
        names: dict[str, Any] = {"table": "users", "id_column": "user_id", "split_group": "split_group"}
        if isinstance(self._typed, DuckDbUsers):
            return import_into_duckdb(self._typed, path, **names, **options)
        if isinstance(self._typed, ClickHouseUsers):
            return import_into_clickhouse(self._typed, path, **names, **options)
        return import_into_postgres(self._typed, path, **names, **options)

    def backfilled(self, **options: Any) -> int:
        if isinstance(self._typed, DuckDbUsers):
            return backfill_duckdb(self._typed, "users", split_group="split_group", **options)
        if isinstance(self._typed, ClickHouseUsers):
            return backfill_clickhouse(self._typed, "users", id_column="user_id", split_group="split_group", **options)
        return backfill_postgres(self._typed, "users", split_group="split_group", **options)

    def generated(self, users: int) -> None:
        if isinstance(self._typed, DuckDbUsers):
            generate_duckdb(self._typed, "users", users=users, seed=3)
        elif isinstance(self._typed, ClickHouseUsers):
            generate_clickhouse(self._typed, "users", users=users, seed=3)
        else:
            generate_postgres(self._typed, "users", users=users, seed=3)

    def rows(self, *names: str) -> list[tuple[Any, ...]]:
        asked: Statement = select(*map(column, names)).select_from(table("users")).order_by(column("user_id"))
        return list(self.database.rows(asked))


@pytest.fixture
def clickhouse_users(clickhouse_url: str) -> Iterator[ClickHouseUsers]:
    database = ClickHouseUsers(clickhouse_url)
    yield database
    database.close()


@pytest.fixture(params=["duckdb", "postgresql", "clickhouse"])
def users(request: pytest.FixtureRequest) -> Iterator[Users]:
    if request.param == "clickhouse":
        yield Users(request.getfixturevalue("clickhouse_users"))
        return
    if request.param == "duckdb":
        with duckdb.connect(":memory:") as connection:
            yield Users(DuckDbUsers(connection.cursor))
        return
    database = PostgresUsers(request.getfixturevalue("postgres_url"))
    yield Users(database)
    database.close()


def parquet(file: Path, selected: str) -> None:
    with duckdb.connect(":memory:") as connection:
        connection.sql(selected).write_parquet(str(file))


def test_a_csv_becomes_users_and_a_later_one_updates_them(users: Users, tmp_path: Path) -> None:
    (tmp_path / "first.csv").write_text(FIRST)
    (tmp_path / "second.csv").write_text(SECOND)
    told: list[tuple[int, int]] = []
    assert users.imported(tmp_path / "first.csv", batch_users=2, progress=lambda *done: told.append(done)) == 3
    assert told[-1] == (3, 3)
    assert users.backfilled() == 3
    groups = users.rows("user_id", "split_group")
    assert users.imported(tmp_path / "second.csv") == 2
    assert users.rows("user_id", "name", "country_id", "is_paying")[:3] == [
        (1, "Anna", 50, True),
        (2, 'O"Neil', 77, True),
        (3, None, 68, None),
    ]
    # The split groups of those who were there are for good; only the new one is without.
    assert users.rows("user_id", "split_group") == [*groups, (4, None)]
    assert users.backfilled() == 1


def test_an_import_that_was_killed_is_run_again(users: Users, tmp_path: Path) -> None:
    file = tmp_path / "users.parquet"
    parquet(file, "SELECT number AS user_id, number % 7 AS country_id FROM range(1000) AS made(number)")

    def killed(done: int, total: int) -> None:
        assert total == 1000
        if done >= 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        users.imported(file, batch_users=100, progress=killed)
    left = len(users.rows("user_id"))
    assert left == 0 if users.is_at_once else 0 < left < 1000
    users.imported(file, batch_users=400)
    assert users.rows("user_id", "country_id") == [(number, number % 7) for number in range(1000)]


def test_a_back_fill_that_was_killed_goes_on_where_it_stopped(users: Users, tmp_path: Path) -> None:
    file = tmp_path / "users.parquet"
    parquet(file, "SELECT number AS user_id FROM range(20000) AS made(number)")
    users.imported(file)

    def killed(done: int, total: int) -> None:
        del done, total
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        users.backfilled(batch_users=6000, progress=killed)
    before = dict(users.rows("user_id", "split_group"))
    drawn = {user: group for user, group in before.items() if group is not None}
    assert len(drawn) == (0 if users.is_at_once else 6000)
    assert users.backfilled(batch_users=6000) == 20_000 - len(drawn)
    after = dict(users.rows("user_id", "split_group"))
    assert {user: after[user] for user in drawn} == drawn
    assert set(after.values()) <= set(range(1, 2401))
    counts = np.bincount(np.array(list(after.values())) % 100)  # 100 classes of 24 groups, 200 users each
    assert float(((counts - 200) ** 2 / 200).sum()) < 99 + 6 * (2 * 99) ** 0.5


def test_a_file_that_does_not_fit_is_refused_in_words(users: Users, tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text(FIRST)
    with pytest.raises(WarehouseRefused, match=r"neither \.csv"):
        users.imported(tmp_path / "users.txt")
    (tmp_path / "other.csv").write_text("id,name\n1,Anna\n")
    with pytest.raises(WarehouseRefused, match="no column user_id"):
        users.imported(tmp_path / "other.csv")
    (tmp_path / "nobody.csv").write_text("user_id,name\n1,Anna\n,Bob\n")
    with pytest.raises(WarehouseRefused, match="no user_id"):
        users.imported(tmp_path / "nobody.csv")
    with pytest.raises(WarehouseRefused, match=r"nowhere\.csv"):
        users.imported(tmp_path / "nowhere.csv")


def test_a_broken_line_is_told_by_its_number(users: Users, tmp_path: Path) -> None:
    lines = "".join(f"{number},{number % 7}\n" for number in range(30_000))
    (tmp_path / "broken.csv").write_text(f"user_id,country_id\n{lines}30001,x\n")
    with pytest.raises(WarehouseRefused, match="Line: 30002"):
        users.imported(tmp_path / "broken.csv")


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="the system does not list a process's open files")
def test_a_file_that_is_refused_in_the_middle_is_let_go(users: Users, tmp_path: Path) -> None:
    export = tmp_path / "users.csv"
    lines = "".join(f"{number},50\n" for number in range(100_000))
    export.write_text(f"user_id,country_id\n{lines}" + ",50\n" * 3000)
    with pytest.raises(WarehouseRefused, match="a line has no user_id") as of_the_file:
        users.imported(export, batch_users=2048)
    assert export not in open_files(), str(of_the_file.value)
    export.write_text(f"user_id,shoe_size\n{lines}")
    with pytest.raises(WarehouseRefused, match="shoe_size") as of_the_table:
        users.imported(export, batch_users=2048)
    assert export not in open_files(), str(of_the_table.value)


def test_a_column_that_the_users_lack_is_refused_by_its_name(users: Users, tmp_path: Path) -> None:
    (tmp_path / "first.csv").write_text(FIRST)
    users.imported(tmp_path / "first.csv")
    before = users.rows("user_id", "name")
    (tmp_path / "more.csv").write_text("user_id,name,shoe_size\n1,Bob,44\n")
    with pytest.raises(WarehouseRefused, match="shoe_size"):
        users.imported(tmp_path / "more.csv")
    assert users.rows("user_id", "name") == before


def test_the_last_line_of_a_user_counts_and_identifiers_may_be_uuids(users: Users, tmp_path: Path) -> None:
    file = tmp_path / "users.parquet"
    wanted = (
        "SELECT CAST(md5(CAST(number % 300 AS VARCHAR)) AS UUID) AS user_id, number AS seen, CAST(1.5 AS DECIMAL(9,2))"
    )
    parquet(file, f"{wanted} AS paid FROM range(900) AS made(number)")
    assert users.imported(file, batch_users=250) == 900
    assert users.backfilled() == 300
    rows = users.rows("user_id", "seen", "paid")
    assert len({str(user) for user, _, _ in rows}) == 300
    assert sorted(seen for _, seen, _ in rows) == list(range(600, 900))
    assert {float(paid) for _, _, paid in rows} == {1.5}


def test_generated_users_look_like_those_of_a_product(users: Users) -> None:
    users.generated(20_000)
    groups = [row[0] for row in users.rows("split_group")]
    assert len(groups) == 20_000
    assert set(groups) <= set(range(1, 2401))
    assert len(set(groups)) > 2300
    countries = Counter(row[0] for row in users.rows("country_id"))
    assert countries[None]
    assert countries[50] == max(countries.values())
    asked: Statement = select(func.count(column("age").distinct())).select_from(table("users"))
    assert users.database.rows(asked)[0][0] > 50


def test_users_that_somebody_else_changes_meanwhile_are_left_as_they_are(
    clickhouse_users: ClickHouseUsers, tmp_path: Path
) -> None:
    users = Users(clickhouse_users)
    (tmp_path / "first.csv").write_text(FIRST)
    users.imported(tmp_path / "first.csv")

    def meddle(done: int, total: int) -> None:
        assert done <= total
        clickhouse_users.write("INSERT INTO users (user_id, name) VALUES (9, 'late')")

    (tmp_path / "second.csv").write_text(SECOND)
    with pytest.raises(WarehouseRefused, match="somebody else changed users"):
        users.imported(tmp_path / "second.csv", progress=meddle)
    assert users.rows("user_id", "name") == [(1, "Anna"), (2, "O'Neil, Jr"), (3, None), (9, "late")]
    left = clickhouse_users.listed("SELECT name FROM system.tables WHERE database = currentDatabase()")
    assert left == [("users",)]


def test_columns_that_the_file_lacks_keep_what_they_hold_or_get_their_default(
    clickhouse_users: ClickHouseUsers, tmp_path: Path
) -> None:
    clickhouse_users.write(
        "CREATE TABLE users (user_id Int64, level Int16 DEFAULT 7, name LowCardinality(Nullable(String)), "
        "loud String MATERIALIZED upper(ifNull(name, '')), split_group Int16) ENGINE = MergeTree ORDER BY user_id"
    )
    rows = "(1, 3, 'anna', 5), (2, 4, 'bob', 0)"
    clickhouse_users.write(f"INSERT INTO users (user_id, level, name, split_group) VALUES {rows}")  # noqa: S608 - above
    users = Users(clickhouse_users)
    (tmp_path / "users.csv").write_text("user_id,name,split_group\n2,eve,11\n1,,2400\n3,new,\n")
    users.imported(tmp_path / "users.csv")
    expected = [(1, 3, None, "", 5), (2, 4, "eve", "EVE", 11), (3, 7, "new", "NEW", 0)]
    assert users.rows("user_id", "level", "name", "loud", "split_group") == expected
    assert users.backfilled() == 1
    assert 1 <= users.rows("split_group")[2][0] <= 2400


def test_what_a_killed_import_left_behind_is_cleared_away_and_other_engines_are_refused(
    clickhouse_users: ClickHouseUsers, tmp_path: Path
) -> None:
    users = Users(clickhouse_users)
    (tmp_path / "first.csv").write_text(FIRST)
    users.imported(tmp_path / "first.csv")
    left_behind = "users_usersplit_0_staged"
    clickhouse_users.write(f"CREATE TABLE {left_behind} AS users")
    made_at = f"SELECT metadata_modification_time < now() - 86400 FROM system.tables WHERE name = '{left_behind}'"  # noqa: S608
    is_old = clickhouse_users.listed(made_at) == [(1,)]  # the engine in this process gives no table a date, so all are
    users.imported(tmp_path / "first.csv")
    assert (clickhouse_users.column_types(left_behind) == {}) == is_old
    clickhouse_users.write("DROP TABLE users")
    clickhouse_users.write("CREATE TABLE users (user_id Int64, split_group Int16) ENGINE = Memory")
    with pytest.raises(WarehouseRefused, match="MergeTree of one server"):
        users.imported(tmp_path / "first.csv")
