"""User groups and QA overrides at a terminal; every mistake answered with a sentence that changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.terminal import Terminal

SETTINGS: dict[str, Any] = {
    "starts_at": "2026-01-01",
    "ends_at": "2036-01-01",
    "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
    "variants": [{"name": "control", "percent": 50, "control": True}, {"name": "green", "percent": 50}],
}
KEY = "green_button"


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(
        capsys, {"USERSPLIT_DATABASE_URL": f"sqlite:///{tmp_path / 'usersplit.db'}", "USERSPLIT_ACTOR": "ann"}
    )
    terminal.done("migrate")
    return terminal


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[Any], str]:
    def write(document: Any) -> str:
        path = tmp_path / "document.json"
        path.write_text(json.dumps(document))
        return str(path)

    return write


def test_a_user_group_from_its_creation_to_its_end(terminal: Terminal, file_of: Callable[[Any], str]) -> None:
    terminal.done("groups", "create", "payers", "--name", "Who pays", "--manager", "bob")
    terminal.done("groups", "propose-conditions", "payers", file_of(SETTINGS["conditions"]))
    assert terminal.run("groups", "list", "--json", "--as", "eve").json() == []
    terminal.done("groups", "activate", "payers", "--as", "bob")
    [listed] = terminal.run("groups", "list", "--json", "--as", "eve").json()
    assert (listed["key"], listed["status"], listed["settings_group"]) == ("payers", "active", 1)

    visitor = ["groups", "check", "payers", "--user", "1"]
    assert terminal.done(*visitor, "--attribute", "country_id=50").startswith("in the group: ")
    assert terminal.done(*visitor, "--attribute", "country_id=1").startswith("not in the group: ")
    terminal.done("groups", "edit", "payers", "--description", "Since 2020")
    terminal.done("groups", "managers", "payers", "--add", "eve", "--remove", "bob")
    terminal.done("groups", "propose-conditions", "payers", file_of([]))
    assert "Since 2020" in terminal.done("groups", "show", "payers")
    terminal.done("groups", "switch-off", "payers")
    assert not terminal.run(*visitor, "--json").json()["is_member"]
    changes = terminal.run("groups", "changelog", "payers", "--json").json()
    assert [change["actor"] for change in changes] == ["ann", "ann", "bob", "ann", "ann", "ann", "ann"]
    terminal.done("groups", "discard", "payers")
    assert terminal.done("groups", "list").startswith("No user groups here.")


def test_mistakes_with_user_groups_are_answered_and_change_nothing(
    terminal: Terminal, file_of: Callable[[Any], str]
) -> None:
    terminal.done("groups", "create", "payers", "--name", "Who pays")
    assert "there is no user group 'payers'" in terminal.refused("groups", "show", "payers", "--as", "eve")
    assert "is taken" in terminal.refused("groups", "create", "payers", "--name", "Mine", "--as", "eve")
    assert "has no conditions yet" in terminal.refused("groups", "activate", "payers")
    wrong = file_of([{"filter": "shoe_size", "operator": "eq", "value": "44"}])
    assert "shoe_size" in terminal.refused("groups", "propose-conditions", "payers", wrong)
    assert "switch off" in terminal.refused("groups", "switch-off", "payers")

    assert len(terminal.run("groups", "changelog", "payers", "--json").json()) == 1


def test_qa_forces_disables_and_takes_back(terminal: Terminal, file_of: Callable[[Any], str]) -> None:
    terminal.done("create", KEY, "--name", "Green button")
    terminal.done("propose", KEY, file_of(SETTINGS))
    assert "there is no split test" in terminal.refused("force", "user:42", KEY, "green", "--as", "vera")
    terminal.done("publish", KEY)

    def gets(*more: str) -> Any:
        return terminal.run("check", KEY, "--user", "42", "--json", *more).json()["variant"]

    terminal.done("force", "user:42", KEY, "green", "--as", "vera", "--in", "production")
    assert (gets(), gets("--in", "devel")) == ("green", None)
    terminal.done("disable-tests", "user:42", "--as", "vera")
    terminal.done("enable-test", "user:42", KEY, "--as", "vera")
    found = terminal.run("overrides", "--json").json()
    [forced], [disabled] = found["forced"], found["disabled"]
    assert (forced["unit"], forced["variant"], forced["by"], forced["in_force"]) == ("user:42", "green", "vera", True)
    assert (disabled["environment"], disabled["enabled"]) == ("devel", [KEY])
    assert "no variant, but of green_button" in terminal.done("overrides", "user:42")

    terminal.done("forget", "user:42", KEY, "--in", "production")
    position = terminal.run("changelog", KEY, "--json").json()[-1]["position"]
    then = terminal.run("as-of", KEY, "--position", str(position + 1), "--user", "42", "--json").json()
    assert (gets(), then["answer"]["variant"]) == (None, "green")
    terminal.done("enable-test", "user:42", "--all")
    assert terminal.done("overrides") == "Nothing is overridden here.\n"


def test_mistakes_of_qa_are_answered_and_change_nothing(terminal: Terminal, file_of: Callable[[Any], str]) -> None:
    terminal.done("create", KEY, "--name", "Green button")
    terminal.done("propose", KEY, file_of(SETTINGS))
    terminal.done("publish", KEY)
    mistakes = {
        ("force", "42", KEY, "green"): "give one such as user:42",
        ("force", "user:42", KEY, "blue"): "choose one of control, green, or force no variant",
        ("force", "user:42", "other", "green"): "there is no split test 'other'",
        ("force", "user:42", KEY, "green", "--until", "2020-01-01"): "an override cannot end at 2020-01-01",
        ("force", "user:42", KEY, "green", "--until", "soon"): "until is 'soon'",
        ("forget", "user:42"): "nothing is overridden for user:42 in devel",
        ("enable-test", "user:42", KEY): "disable them first",
        ("enable-test", "user:42", "--all"): "disable them first",
    }
    for arguments, sentence in mistakes.items():
        assert sentence in terminal.refused(*arguments)
    assert terminal.run("force", "user:42", KEY).exit_code == 2
    assert terminal.run("overrides", "--json").json() == {"forced": [], "disabled": []}
