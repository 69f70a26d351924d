"""A users table made up from a seed, so that a demonstration shows real numbers and a benchmark has something to count.

Countries are as uneven as real ones (the largest, 50, has one user in six, then 51, 52 …), and a few percent of
everything is not known.
"""

from typing import Final

from sqlalchemy import text

from warehouse.clickhouse_users import ClickHouseUsers
from warehouse.clickhouse_users import quoted as quoted_clickhouse
from warehouse.duckdb_users import DuckDbUsers, quoted
from warehouse.duckdb_users import translated as translated_duckdb
from warehouse.postgres_users import PostgresUsers
from warehouse.postgres_users import translated as translated_postgres

COLUMNS: Final = (
    "user_id BIGINT, split_group SMALLINT, is_test_user BOOLEAN, is_new_user BOOLEAN, is_paying BOOLEAN, "
    "email_verified BOOLEAN, country_id SMALLINT, age SMALLINT, gender VARCHAR, language VARCHAR, platform VARCHAR, "
    "registered_at TIMESTAMP"
)
# {draw} is a number in [0, 1), another one wherever it stands. Written in words that both databases know.
_SELECTED: Final = """
    SELECT number, 1 + floor({draw} * 2400)::INTEGER,
           {draw} < 0.001, CASE WHEN {draw} < 0.98 THEN {draw} < 0.1 END, {draw} < 0.06,
           CASE WHEN {draw} < 0.97 THEN {draw} < 0.7 END,
           CASE WHEN {draw} < 0.99 THEN mod(50 + floor(200 * power({draw}, 3))::INTEGER, 200) END,
           CASE WHEN {draw} < 0.9 THEN 16 + floor(60 * {draw} * {draw})::INTEGER END,
           CASE WHEN {draw} < 0.45 THEN 'female' WHEN {draw} < 0.9 THEN 'male' WHEN {draw} < 0.5 THEN 'other' END,
           CASE floor({draw} * 8)::INTEGER WHEN 0 THEN 'de' WHEN 1 THEN 'es' WHEN 2 THEN 'fr' WHEN 3 THEN 'it'
                WHEN 4 THEN 'pt' WHEN 5 THEN 'ru' WHEN 6 THEN 'en' END,
           CASE floor({draw} * 10)::INTEGER WHEN 0 THEN NULL WHEN 1 THEN 'web' WHEN 2 THEN 'web' WHEN 3 THEN 'ios'
                WHEN 4 THEN 'ios' WHEN 5 THEN 'ios' ELSE 'android' END,
           TIMESTAMP '2015-01-01' + floor({draw} * 350000000)::BIGINT * INTERVAL '1 second'
"""


def generate_duckdb(database: DuckDbUsers, table: str, *, users: int, seed: int) -> None:
    """Make `table` anew with so many users, numbered from 1.

    Raises:
        WarehouseError: it cannot be made.
    """
    with translated_duckdb():
        cursor = database.cursor()
        cursor.execute(f"SELECT setseed({(seed % 1000) / 1000})")
        selected = _SELECTED.format(draw="random()")
        cursor.execute(f"CREATE OR REPLACE TABLE {quoted(table)} ({COLUMNS})")
        cursor.execute(f"INSERT INTO {quoted(table)} {selected} FROM range(1, {users + 1}) AS made(number)")


def generate_postgres(database: PostgresUsers, table: str, *, users: int, seed: int) -> None:
    """Make `table` anew likewise.

    Raises:
        WarehouseError: it cannot be made.
    """
    with translated_postgres(), database.engine.begin() as connection:
        connection.execute(text("SELECT setseed(:seed)"), {"seed": (seed % 1000) / 1000})
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted(table)}")
        connection.exec_driver_sql(
            f"CREATE TABLE {quoted(table)} ({COLUMNS.replace('BIGINT', 'BIGINT PRIMARY KEY', 1)})"
        )
        selected = _SELECTED.format(draw="random()")
        connection.exec_driver_sql(
            f"INSERT INTO {quoted(table)} {selected} FROM generate_series(1, {users}) AS made(number)"
        )
        connection.exec_driver_sql(f"ANALYZE {quoted(table)}")


# Each {draw} has a number of its own, or ClickHouse would take two equal calls for one.
_CLICKHOUSE: Final = """
    SELECT number + 1, 1 + toInt16(floor({draw} * 2400)),
           {draw} < 0.001, if({draw} < 0.98, {draw} < 0.1, NULL), {draw} < 0.06,
           if({draw} < 0.97, {draw} < 0.7, NULL),
           if({draw} < 0.99, toInt16((50 + toUInt32(floor(200 * pow({draw}, 3)))) % 200), NULL),
           if({draw} < 0.9, toInt16(16 + floor(60 * {draw} * {draw})), NULL),
           multiIf({draw} < 0.45, 'female', {draw} < 0.9, 'male', {draw} < 0.5, 'other', NULL),
           ['de', 'es', 'fr', 'it', 'pt', 'ru', 'en', NULL][1 + toUInt8(floor({draw} * 8))],
           [NULL, 'web', 'web', 'ios', 'ios', 'ios', 'android', 'android', 'android', 'android']
               [1 + toUInt8(floor({draw} * 10))],
           toDateTime('2015-01-01', 'UTC') + toUInt32(floor({draw} * 350000000))
    FROM numbers({users})
"""
_CLICKHOUSE_COLUMNS: Final = (
    "user_id Int64, split_group Int16, is_test_user Bool, is_new_user Nullable(Bool), is_paying Bool, "
    "email_verified Nullable(Bool), country_id Nullable(Int16), age Nullable(Int16), "
    "gender LowCardinality(Nullable(String)), language LowCardinality(Nullable(String)), "
    "platform LowCardinality(Nullable(String)), registered_at DateTime('UTC')"
)


def generate_clickhouse(database: ClickHouseUsers, table: str, *, users: int, seed: int) -> None:
    """Make `table` anew likewise.

    Raises:
        WarehouseError: it cannot be made.
    """
    selected = _CLICKHOUSE.replace("{users}", str(users))
    number = 0
    while "{draw}" in selected:
        number += 1
        draw = f"(cityHash64(number, {seed}, {number}) % 1000003) / 1000003"
        selected = selected.replace("{draw}", draw, 1)
    name = quoted_clickhouse(table)
    database.write(f"DROP TABLE IF EXISTS {name}")
    database.write(f"CREATE TABLE {name} ({_CLICKHOUSE_COLUMNS}) ENGINE = MergeTree ORDER BY user_id")
    database.write(f"INSERT INTO {name} {selected}")
