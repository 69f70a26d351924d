"""Numbers about users at a terminal: estimate, preview, progress, and where the users table is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrypoints.backbone import open_backbone
from entrypoints.clock import now
from events.database import open_database, write_transaction
from projections import preparation_steps
from tests.support.counted_backbone import ANNA, COUNTRIES, proposal
from tests.support.terminal import Terminal

VARIANTS = {"control": 10, "green": 20}


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(
        capsys,
        {
            "USERSPLIT_DATABASE_URL": f"sqlite:///{tmp_path / 'usersplit.db'}",
            "USERSPLIT_ACTOR": "anna",
            "USERSPLIT_USERS_URL": f"duckdb:///{tmp_path / 'users.duckdb'}",
            "USERSPLIT_BASE_RATE": "0.05",
        },
    )
    terminal.done("migrate")
    terminal.done("create", "green_button", "--name", "Green button")
    return terminal


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], str]:
    def written(document: Any) -> str:
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(document))
        return str(path)

    return written


def test_estimate_and_overlaps_are_told_where_users_are_connected(
    terminal: Terminal, write: Callable[[Any], str]
) -> None:
    terminal.done("users", "generate", "--users", "20000")
    counted = terminal.done("users", "count", json.dumps([COUNTRIES]))
    settings = write(proposal(VARIANTS, [COUNTRIES]))
    previewed = terminal.run("preview", "green_button", settings, "--json").json()
    assert f"{previewed['users']:,} users meet" in counted
    assert previewed["base_rate"] == 0.05
    shown = terminal.done("preview", "green_button", settings, "--base-rate", "0.2")
    assert "1, not proposed yet" in shown
    assert "points (20 % →" in shown
    assert terminal.done("preparations") == "Nothing waits to be prepared.\n"

    proposed = terminal.done("propose", "green_button", settings)
    assert "points (5 % →" in proposed
    terminal.done("publish", "green_button")
    terminal.done("create", "red_button", "--name", "Red button")
    shared = terminal.done("propose", "red_button", write(proposal({"control": 50, "red": 50}, [COUNTRIES])))
    assert "% of theirs, same type) with green_button" in shared
    assert "smallest effect" in terminal.done("show", "red_button")
    moved = terminal.done("preview", "green_button", write(proposal({"control": 10, "green": 10}, [COUNTRIES])))
    assert "480 split groups stay with their variants and 240 split groups leave green" in moved


def test_a_users_table_that_is_not_there_fails_the_preparation_and_a_retry_cures_it(
    terminal: Terminal, write: Callable[[Any], str], tmp_path: Path
) -> None:
    settings = write(proposal(VARIANTS))
    assert "there is no DuckDB file" in terminal.refused("preview", "green_button", settings)
    failed = terminal.run("propose", "green_button", settings)
    assert failed.exit_code == 1
    assert "there is no DuckDB file" in failed.out
    assert "is failed" in terminal.done("preparations")
    terminal.done("users", "generate", "--users", "5000")
    assert "users" in terminal.done("retry", "green_button")
    assert (tmp_path / "users.duckdb").exists()


def test_a_user_group_is_counted_as_its_conditions_change_and_when_somebody_asks(
    terminal: Terminal, write: Callable[[Any], str]
) -> None:
    conditions = write([COUNTRIES])
    terminal.done("groups", "create", "payers", "--name", "Who pays")
    failed = terminal.refused("groups", "propose-conditions", "payers", conditions)
    assert "there is no DuckDB file" in failed
    assert "in force all the same" in failed
    assert "not counted" in terminal.done("groups", "show", "payers")
    terminal.done("users", "generate", "--users", "20000")
    counted = terminal.run("groups", "estimate", "payers", "--json").json()
    assert (counted["state"], counted["shared"]) == ("counted", [])
    number = f"{counted['users']:,} users meet"
    assert number in terminal.done("users", "count", json.dumps([COUNTRIES]))

    terminal.done("propose", "green_button", write(proposal(VARIANTS)))
    terminal.done("publish", "green_button")
    previewed = terminal.done("groups", "preview", "payers", write([COUNTRIES]))
    assert number in previewed
    assert "with green_button: " in previewed
    assert "shared" not in terminal.done("groups", "show", "payers")
    told = terminal.done("groups", "estimate", "payers")
    shown = terminal.done("groups", "show", "payers")
    assert all(number in said and " in green" in said for said in (told, shown))
    assert terminal.run("groups", "list", "--json").json()[0]["users"] == counted["users"]
    assert f"{counted['users']:,}" in terminal.done("groups", "list")
    assert "there is no user group" in terminal.refused("groups", "estimate", "payers", "--as", "eve")
    assert "there is no user group" in terminal.refused(
        "groups", "preview", "payers", write([COUNTRIES]), "--as", "eve"
    )


def test_a_terminal_that_does_not_count_leaves_it_to_who_does(terminal: Terminal, write: Callable[[Any], str]) -> None:
    terminal.done("users", "generate", "--users", "2000")
    terminal.done("propose", "green_button", write(proposal(VARIANTS)))
    users_url = terminal.environment.pop("USERSPLIT_USERS_URL")
    assert "Left to the preparer's process" in terminal.done("propose", "green_button", write(proposal({"a": 50})))
    assert "settings group 2 is proposed" in terminal.done("preparations")
    terminal.environment["USERSPLIT_USERS_URL"] = users_url
    assert "smallest effect" in terminal.done("propose", "green_button", write(proposal({"a": 20, "b": 20})))


def test_without_users_there_is_no_preview(terminal: Terminal, write: Callable[[Any], str]) -> None:
    del terminal.environment["USERSPLIT_USERS_URL"]
    assert "set USERSPLIT_USERS_URL" in terminal.refused("preview", "green_button", write(proposal(VARIANTS)))
    terminal.done("groups", "create", "payers", "--name", "Who pays")
    assert terminal.done("groups", "propose-conditions", "payers", write([])).count("\n") == 1
    assert "set USERSPLIT_USERS_URL" in terminal.refused("groups", "estimate", "payers")
    assert "set USERSPLIT_USERS_URL" in terminal.refused("groups", "preview", "payers", write([]))
    assert "USERSPLIT_USERS_URL is not set" in terminal.refused("users", "count", "[]")


def test_how_far_a_preparation_is_shows_in_another_process(
    terminal: Terminal, write: Callable[[Any], str], tmp_path: Path
) -> None:
    assert terminal.run("propose", "green_button", write(proposal(VARIANTS))).exit_code == 1
    engine = open_database(f"sqlite:///{tmp_path / 'usersplit.db'}")
    backbone = open_backbone(terminal.environment["USERSPLIT_DATABASE_URL"])
    backbone.split_tests.retry_preparation(ANNA, "green_button")
    backbone.close()
    with write_transaction(engine) as connection:
        preparation_steps.tell(
            connection, "green_button", settings_group=1, step="counted", detail="12 users meet", at=now()
        )
    assert "70%" in terminal.done("show", "green_button")
    (line,) = terminal.run("preparations", "--json").json()
    assert (line["key"], line["settings_group"], line["state"], line["share_done"]) == (
        "green_button",
        1,
        "proposed",
        0.7,
    )
    assert line["said"].endswith("12 users meet")
    engine.dispose()
