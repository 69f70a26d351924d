"""Split groups for users who have none, and users from files: in batches, each of them one transaction.

A draw is made by the operating system's generator (`secrets`), because a split group must not be guessed from an
identifier nor repeat in another company's users; 16 random bits are cut where 2400 no longer fits, so that every
group is exactly as likely as any other. A back-fill that is killed has drawn whole batches or none of them: the next
run finds who is left by itself.
"""

import secrets
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import text

from warehouse.duckdb_users import DuckDbUsers, quoted
from warehouse.duckdb_users import translated as translated_duckdb
from warehouse.postgres_users import PostgresUsers
from warehouse.postgres_users import translated as translated_postgres

SPLIT_GROUPS: Final = 2400
_FAIR: Final = 65536 // SPLIT_GROUPS * SPLIT_GROUPS
_DRAWN_AT_ONCE: Final = 1.05

RandomBytes = Callable[[int], bytes]
Progress = Callable[[int, int], None]
"""Told after each batch how many users are done, and how many there were to do."""


def untold(done: int, total: int) -> None:
    """Tell nobody."""
    del done, total


def draw_split_groups(count: int, random_bytes: RandomBytes = secrets.token_bytes) -> NDArray[np.int16]:
    """Return so many split groups, each of 1..2400 equally likely."""
    drawn = np.empty(0, dtype=np.uint16)
    while len(drawn) < count:
        wanted = int((count - len(drawn)) * _DRAWN_AT_ONCE) + 64
        words = np.frombuffer(random_bytes(2 * wanted), dtype=np.uint16)
        drawn = np.concatenate((drawn, words[words < _FAIR]))
    return (drawn[:count] % SPLIT_GROUPS + 1).astype(np.int16)


def backfill_duckdb(
    database: DuckDbUsers,
    table: str,
    *,
    split_group: str,
    batch_users: int = 500_000,
    progress: Progress = untold,
) -> int:
    """Draw a split group for every user of `table` without one, and return how many there were.

    Raises:
        WarehouseError: the database cannot write; run it again, it goes on where it stopped.
    """
    name, column = quoted(table), quoted(split_group)
    done = 0
    with translated_duckdb():
        cursor = database.cursor()
        total = int(cursor.execute(f"SELECT count(*) FROM {name} WHERE {column} IS NULL").fetchall()[0][0])  # noqa: S608
        while done < total:
            places = cursor.sql(f"SELECT rowid AS place FROM {name} WHERE {column} IS NULL LIMIT {batch_users}")  # noqa: S608
            left = places.to_arrow_table()
            if not left.num_rows:
                break
            drawn = left.append_column("drawn", pa.array(draw_split_groups(left.num_rows)))
            cursor.register("drawn_split_groups", drawn)
            try:
                cursor.execute(
                    f"UPDATE {name} AS users SET {column} = drawn.drawn FROM drawn_split_groups AS drawn "  # noqa: S608
                    f"WHERE users.rowid = drawn.place AND users.{column} IS NULL"
                )
            finally:
                cursor.unregister("drawn_split_groups")
            done += left.num_rows
            progress(done, total)
    return done


def backfill_postgres(
    database: PostgresUsers,
    table: str,
    *,
    split_group: str,
    batch_users: int = 50_000,
    progress: Progress = untold,
) -> int:
    """Draw likewise in PostgreSQL. Several may run at once: a row that one has locked, the others leave alone.

    Raises:
        WarehouseError: the database cannot write; run it again, it goes on where it stopped.
    """
    name, column = quoted(table), quoted(split_group)
    select_some = text(
        f"SELECT ctid::text FROM {name} WHERE {column} IS NULL LIMIT :batch_users FOR UPDATE SKIP LOCKED"  # noqa: S608
    )
    update = text(
        f"UPDATE {name} AS users SET {column} = drawn.split_group "  # noqa: S608
        "FROM unnest(CAST(:places AS text[]), CAST(:drawn AS smallint[])) AS drawn(place, split_group) "
        "WHERE users.ctid = drawn.place::tid"
    )
    done = 0
    with translated_postgres(), database.engine.connect() as connection:
        total = int(connection.execute(text(f"SELECT count(*) FROM {name} WHERE {column} IS NULL")).scalar_one())  # noqa: S608
        connection.commit()
        while True:
            with connection.begin():
                places = list(connection.execute(select_some, {"batch_users": batch_users}).scalars())
                if places:
                    drawn = draw_split_groups(len(places)).tolist()
                    connection.execute(update, {"places": places, "drawn": drawn})
            if not places:
                return done
            done += len(places)
            progress(done, max(total, done))
