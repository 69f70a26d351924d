"""The connections that appends keep beside the pool: found again, never trusted blindly, never too many."""

import gc
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic, sleep

import pytest
from sqlalchemy import Engine, text

from events.database import open_database
from events.errors import DatabaseUnavailable
from events.postgres_spare import MOST_SPARES, spare_connection

pytestmark = pytest.mark.real_postgres


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    opened = open_database(postgres_url)
    yield opened
    opened.dispose()


@pytest.fixture
def onlooker(postgres_url: str) -> Iterator[Engine]:
    opened = open_database(postgres_url)
    yield opened
    opened.dispose()


def backend_of(engine: Engine) -> int:
    with spare_connection(engine) as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(pid)


def others(onlooker: Engine) -> int:
    with onlooker.connect() as connection:
        count = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"  # the server's own vacuuming may pass by
        )
        return int(connection.execute(count).scalar_one())


def end(onlooker: Engine, pid: int) -> None:
    with onlooker.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_the_next_append_finds_the_connection_of_the_last_one(engine: Engine) -> None:
    assert len({backend_of(engine) for _ in range(5)}) == 1


def test_one_whose_server_has_hung_up_is_replaced(engine: Engine, onlooker: Engine) -> None:
    first = backend_of(engine)
    end(onlooker, first)
    assert backend_of(engine) != first


def test_one_that_is_lost_in_use_is_named_and_not_used_again(engine: Engine, onlooker: Engine) -> None:
    first = backend_of(engine)
    with pytest.raises(DatabaseUnavailable), spare_connection(engine) as connection:  # noqa: PT012 - it is named on the way out
        end(onlooker, first)
        connection.execute("SELECT 1")
    assert backend_of(engine) != first


def test_one_that_an_interrupt_left_in_a_transaction_is_not_used_again(engine: Engine) -> None:
    first = backend_of(engine)
    with pytest.raises(KeyboardInterrupt), spare_connection(engine) as connection:  # noqa: PT012 - likewise
        connection.execute("BEGIN")
        raise KeyboardInterrupt
    assert backend_of(engine) != first


def test_a_refusal_of_the_server_leaves_it_as_good_as_it_was(engine: Engine) -> None:
    first = backend_of(engine)
    refusal = engine.dialect.loaded_dbapi.Error
    with pytest.raises(refusal), spare_connection(engine) as connection:
        connection.execute("SELECT 1 / 0")
    assert backend_of(engine) == first


def test_of_many_at_once_the_others_use_the_pool_and_give_it_back(engine: Engine, onlooker: Engine) -> None:
    many = MOST_SPARES + 3
    for _ in range(3):
        with ExitStack() as appends:
            connections = [appends.enter_context(spare_connection(engine)) for _ in range(many)]
            assert len({connection.execute("SELECT pg_backend_pid()").fetchone() for connection in connections}) == many
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of a pool with a queue
        assert others(onlooker) == many


def test_the_end_of_the_engine_is_theirs_too(engine: Engine, onlooker: Engine) -> None:
    backend_of(engine)
    assert others(onlooker) == 1
    engine.dispose()
    deadline = monotonic() + 60
    while others(onlooker):
        assert monotonic() < deadline
        sleep(0.02)
    assert backend_of(engine)


def test_a_forked_child_makes_its_own_and_the_parent_goes_on_with_theirs(engine: Engine) -> None:
    first = backend_of(engine)
    child = os.fork()
    if child == 0:
        engine.dispose(close=False)
        os._exit(0 if backend_of(engine) != first else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert backend_of(engine) == first


def test_an_engine_that_nobody_holds_any_more_is_not_held_here(postgres_url: str) -> None:
    opened = open_database(postgres_url)
    assert backend_of(opened)
    opened.dispose()
    watched = weakref.ref(opened)
    del opened
    gc.collect()
    assert watched() is None
