"""Users imported, given split groups and counted at a terminal, in each database that may hold them."""

import json
from pathlib import Path

import duckdb
import pytest

from entrypoints import audience_commands
from tests.support.terminal import Terminal
from warehouse.clickhouse_users import ClickHouseUsers
from warehouse.duckdb_users import DuckDbUsers
from warehouse.generated_users import generate_duckdb

RUSSIANS = [{"filter": "country_id", "operator": "in", "value": ["50"]}]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of 3,000 users without split groups, as the product has them before it knows of UserSplit."""
    file = tmp_path / "users.csv"
    with duckdb.connect(":memory:") as connection:
        generate_duckdb(DuckDbUsers(connection.cursor), "users", users=3000, seed=5)
        connection.sql("SELECT * EXCLUDE split_group FROM users ORDER BY user_id").write_csv(str(file))
    return file


@pytest.fixture(params=["duckdb", "postgresql", "clickhouse"])
def terminal(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    if request.param == "duckdb":
        url = f"duckdb:///{tmp_path / 'users.duckdb'}"
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgres_url").replace("+psycopg", "", 1)
    else:
        place, url = request.getfixturevalue("clickhouse_url"), "clickhouse://a-server"
        monkeypatch.setattr(audience_commands, "ClickHouseUsers", _at(place))
    return Terminal(capsys, {"USERSPLIT_USERS_URL": url})


def _at(place: str) -> type[ClickHouseUsers]:
    """Return the users database for a server that stands at `place`, which may be the engine in this process."""

    class Placed(ClickHouseUsers):
        def __init__(self, url: str) -> None:
            assert url == "clickhouse://a-server"
            super().__init__(place)

    return Placed


def counted(terminal: Terminal, conditions: object) -> int:
    said = terminal.done("users", "count", json.dumps(conditions))
    assert "exactly" in said
    return int(said.split()[0].replace(",", ""))


def test_an_export_becomes_users_with_split_groups_who_are_counted(terminal: Terminal, export: Path) -> None:
    said = terminal.done("users", "import", str(export))
    assert said == "Imported 3,000 lines; 3,000 users were given a split group.\n"
    assert terminal.done("users", "import", str(export)) == (
        "Imported 3,000 lines; 0 users were given a split group.\n"
    )
    assert terminal.done("users", "split-groups") == "0 users were given a split group.\n"
    assert counted(terminal, []) == 3000
    with duckdb.connect(":memory:") as connection:
        found = connection.execute("SELECT count(*) FROM read_csv(?) WHERE country_id = 50", [str(export)])
        russians = found.fetchall()[0][0]
    assert counted(terminal, RUSSIANS) == russians > 0


def test_a_file_that_does_not_fit_is_refused_and_changes_nobody(terminal: Terminal, export: Path) -> None:
    terminal.done("users", "import", str(export))
    wrong = export.with_name("wrong.csv")
    wrong.write_text("user_id,country_id,shoe_size\n1,51,44\n")
    assert "shoe_size" in terminal.refused("users", "import", str(wrong))
    assert counted(terminal, []) == 3000


def test_users_are_made_up_to_try_it_with(terminal: Terminal) -> None:
    assert terminal.done("users", "generate", "--users", "2000") == "users holds 2,000 made-up users.\n"
    assert counted(terminal, []) == 2000
