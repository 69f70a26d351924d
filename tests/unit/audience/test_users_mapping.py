from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from audience.catalog import load_catalog
from audience.errors import UsersMappingWrong, UsersTableWrong
from audience.users_table import MappedColumn, load_users_table
from tests.support.audience_users import CATALOG, USERS, DuckDbPlace
from usersplit.conditions import Catalog
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_duckdb

PLAN = '[filters.plan]\ntype = "string"\nscope = "user"\n'
USERS_TABLE = PLAN + '[users]\ntable = "people"\nid = "id"\nsplit_group = "sg"\n'


@pytest.fixture
def empty() -> Iterator[DuckDbUsers]:
    with duckdb.connect(":memory:") as connection:
        yield DuckDbUsers(connection.cursor)


def loaded(tmp_path: Path, text: str) -> Any:
    file = tmp_path / "catalog.toml"
    file.write_text(text)
    return load_users_table(load_catalog(file), file)


def test_the_shipped_mapping_fits_the_users_that_the_demonstration_makes(empty: DuckDbUsers) -> None:
    generate_duckdb(empty, "users", users=10, seed=1)
    shipped = load_users_table(load_catalog())
    assert shipped
    shipped.check(empty, load_catalog())
    profile = {name for name, definition in load_catalog().items() if definition.scope == "user"}
    assert set(shipped.columns) == profile


def test_a_column_may_be_an_expression(tmp_path: Path) -> None:
    table = loaded(tmp_path, USERS_TABLE + '[users.columns]\nplan = {expression = "lower(plan)"}\n')
    assert table.columns == {"plan": MappedColumn(text="lower(plan)", is_expression=True)}


def test_a_catalog_need_not_know_where_users_are(tmp_path: Path) -> None:
    assert loaded(tmp_path, PLAN) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("users = 5\n" + PLAN, "it is not a table"),
        (PLAN + '[users]\ntable = "people"\n', 'it has no "id"'),
        (USERS_TABLE + "colums = 5\n", "it has a field 'colums'"),
        (USERS_TABLE + "columns = 5\n", "columns is not a table"),
        (USERS_TABLE + "[users.columns]\nplan = 5\n", "columns.plan is neither"),
        (USERS_TABLE + '[users.columns]\nplna = "plan"\n', "columns.plna is for a filter that is not there"),
    ],
)
def test_a_wrong_mapping_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsersMappingWrong, match=message):
        loaded(tmp_path, text)


def test_every_difference_between_mapping_and_database_is_told_at_once(empty: DuckDbUsers) -> None:
    with pytest.raises(UsersTableWrong, match="there is no table users"):
        USERS.check(empty, CATALOG)
    empty.cursor().execute("CREATE TABLE users (user_id BIGINT, flag VARCHAR, whole BIGINT, small DOUBLE)")
    with pytest.raises(UsersTableWrong) as refusal:
        USERS.check(empty, CATALOG)
    problems: Sequence[str] = refusal.value.problems
    assert any("there is no column split_group" in problem for problem in problems)
    assert any("the column flag has the type varchar" in problem for problem in problems)
    assert any("the column small has the type double" in problem for problem in problems)
    assert not any("whole" in problem for problem in problems)


def test_the_tables_that_tests_use_fit_their_mapping() -> None:
    place = DuckDbPlace()
    place.fill([])
    USERS.check(place.database, Catalog(CATALOG.values()))
    place.connection.close()
