"""The red mark: a manager and an operator see which servers have not laid out the newest config of a test."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consumers.republish_requests import waiting
from events.database import open_database, write_transaction
from projections import laid_out
from projections.laid_out import Report
from tests.support.terminal import Terminal

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
SETTINGS = {
    "starts_at": "2026-01-01",
    "ends_at": "2036-01-01",
    "total_percent": 50,
    "variants": [{"name": "control", "control": True}, {"name": "green"}],
}


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    url = f"sqlite:///{tmp_path / 'usersplit.db'}"
    terminal = Terminal(capsys, {"USERSPLIT_DATABASE_URL": url, "USERSPLIT_ACTOR": "ann"})
    terminal.done("migrate")
    (tmp_path / "settings.json").write_text(json.dumps(SETTINGS))
    for key in ("green_button", "red_button", "a_draft"):
        terminal.done("create", key, "--name", key)
    for key in ("green_button", "red_button"):
        terminal.done("propose", key, str(tmp_path / "settings.json"))
        terminal.done("publish", key)
    return terminal


def report(terminal: Terminal, host: str, offset: int, **tests: int) -> None:
    engine = open_database(terminal.environment["USERSPLIT_DATABASE_URL"])
    told = Report(environment="production", host=host, position=max(tests.values(), default=0), tests=tests)
    with write_transaction(engine) as connection:
        laid_out.record(connection, told, offset=offset, at=NOW)
    engine.dispose()


def test_the_list_says_on_how_many_servers_a_test_is_missing(terminal: Terminal) -> None:
    assert "servers" not in terminal.done("list")
    assert "No agent has reported yet" in terminal.done("servers")
    for number in range(5):
        report(terminal, f"web-{number}", number, green_button=1000, **({} if number < 2 else {"red_button": 1000}))
    lines = {line.split()[1]: line for line in terminal.done("list").splitlines() if "button" in line}
    assert "2 of 5 servers" in lines["red_button"]
    assert "servers" not in lines["green_button"]
    rows = {row["key"]: row for row in terminal.run("list", "--json").json()}
    assert rows["red_button"]["not_laid_out_on"] == ["production/web-0", "production/web-1"]
    assert (rows["green_button"]["not_laid_out_on"], rows["a_draft"]["not_laid_out_on"]) == ([], [])
    assert rows["a_draft"]["live_servers"] == 5
    shown = terminal.done("show", "red_button")
    assert "on 2 of 5 servers: production/web-0, production/web-1" in shown
    assert "not laid out" not in terminal.done("show", "green_button")


def test_the_mark_is_red_on_a_terminal(terminal: Terminal) -> None:
    report(terminal, "web-1", 0, green_button=1000)
    terminal.environment["FORCE_COLOR"] = "1"
    printed = terminal.done("list")
    assert "\x1b[31mred_button" in printed
    assert "\x1b[31mgreen_button" not in printed


def test_an_operator_sees_the_servers_and_the_silent_ones(terminal: Terminal) -> None:
    report(terminal, "web-1", 0, green_button=1000)
    engine = open_database(terminal.environment["USERSPLIT_DATABASE_URL"])
    with write_transaction(engine) as connection:
        laid_out.add_silence(connection, 600, at=NOW, silent_after=300, forget_after=9999)
    engine.dispose()
    report(terminal, "web-2", 1, green_button=1000)
    printed = terminal.done("servers")
    assert "silent for 10 min" in printed
    rows = {row["host"]: row for row in terminal.run("servers", "--json").json()}
    assert (rows["web-1"]["is_live"], rows["web-1"]["missing_tests"]) == (False, 0)
    assert (rows["web-2"]["is_live"], rows["web-2"]["missing_tests"]) == (True, 1)


def test_an_operator_asks_for_documents_to_be_sent_again(terminal: Terminal) -> None:
    def asked() -> list[str]:
        engine = open_database(terminal.environment["USERSPLIT_DATABASE_URL"])
        with engine.connect() as connection:
            keys = list(waiting(connection, limit=10))
        engine.dispose()
        return keys

    assert "NoSuchConfig: a_draft has no config document" in terminal.refused("republish", "a_draft", "red_button")
    assert asked() == []
    assert "sends 1 config documents again" in terminal.done("republish", "red_button")
    assert asked() == ["red_button"]
    assert "sends 2 config documents again" in terminal.done("republish", "--all")
    assert asked() == ["green_button", "red_button"]
    for arguments in (("republish",), ("republish", "--all", "red_button")):
        assert terminal.run(*arguments).exit_code == 2
