"""A manager at a terminal: a test's whole life, and every mistake answered with a sentence that changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from events.database import open_database, write_transaction
from tests.support.terminal import Terminal

SETTINGS: dict[str, Any] = {
    "starts_at": "2026-01-01",
    "ends_at": "2036-01-01",
    "conditions": [
        {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
        "OR",
        [
            {"filter": "country_id", "operator": "in", "value": ["50"]},
            "AND",
            {"filter": "is_new_user", "operator": "eq", "value": "1"},
        ],
    ],
    "variants": [{"name": "control", "percent": 5, "control": True}, {"name": "green", "percent": "12.5"}],
}


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(
        capsys, {"USERSPLIT_DATABASE_URL": f"sqlite:///{tmp_path / 'usersplit.db'}", "USERSPLIT_ACTOR": "ann"}
    )
    terminal.done("migrate")
    return terminal


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[..., str]:
    def write(**changes: Any) -> str:
        document = {name: value for name, value in {**SETTINGS, **changes}.items() if value is not None}
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(document))
        return str(path)

    return write


def facts(terminal: Terminal, key: str = "green_button") -> int:
    """How many facts the test's changelog holds: what a refused command must not change."""
    return len(terminal.run("changelog", key, "--json").json())


def test_a_whole_life_from_the_terminal(terminal: Terminal, settings_file: Callable[..., str]) -> None:
    terminal.done("create", "green_button", "--name", "Green button", "--issue", "WEB-1", "--manager", "bob")
    prepared = terminal.done("propose", "green_button", settings_file())
    assert "Settings group 1 is current." in prepared
    assert "variant: control (control): 5 %, 120 split groups" in prepared
    assert "variant: green: 12.5 %, 300 split groups" in prepared
    terminal.done("publish", "green_button", "--as", "bob")
    in_dev = terminal.run("check", "green_button", "--user", "1", "--split-group", "1", "--json").json()
    assert in_dev["reason"] == "not_a_test_user"
    terminal.done("start", "green_button")
    terminal.done("pause", "green_button")
    terminal.done("resume", "green_button")
    changed = settings_file(
        variants=[{"name": "control", "percent": 5, "control": True}, {"name": "green", "percent": 20}]
    )
    assert "Settings group 2 is current" in terminal.done("propose", "green_button", changed)
    terminal.done("finish", "green_button", "green", "--scope", "conditions")
    result = terminal.run(
        "check", "green_button", "--user", "1", "--split-group", "1", "--attribute", "is_test_user=Yes", "--json"
    ).json()
    assert (result["variant"], result["reason"]) == ("green", "result")
    entries = terminal.run("changelog", "green_button", "--json").json()
    assert [entry["actor"] for entry in entries].count("bob") == 1
    before_after = [
        (change["what"], change["before"], change["after"]) for entry in entries for change in entry["changes"]
    ]
    assert any("12.5" in before and "20" in after for _, before, after in before_after), before_after
    listed = terminal.run("list", "--json").json()
    assert [(row["key"], row["status"], row["settings_group"]) for row in listed] == [("green_button", "finished", 2)]
    assert "green_button" in terminal.done("show", "green_button")


def test_a_check_names_the_variant_of_a_split_group_it_owns(
    terminal: Terminal, settings_file: Callable[..., str]
) -> None:
    everybody = settings_file(conditions=[], variants=[{"name": "on", "percent": 100}])
    terminal.done("create", "on_for_all", "--name", "On")
    terminal.done("propose", "on_for_all", everybody)
    terminal.done("publish", "on_for_all")
    terminal.done("start", "on_for_all")
    assert "on:" in terminal.done("check", "on_for_all", "--guest", "g1", "--split-group", "2400")
    misspelt = terminal.run("check", "on_for_all", "--user", "1", "--split-group", "1", "--attribute", "contry_id=50")
    assert misspelt.err.startswith("contry_id is no filter, nothing asks for it")
    assert "filters" not in misspelt.out
    too_late = terminal.run("check", "on_for_all", "--user", "1", "--split-group", "1", "--at", "2036-01-01", "--json")
    assert too_late.json()["reason"] == "ended"


def test_a_draft_does_not_exist_for_others(terminal: Terminal, settings_file: Callable[..., str]) -> None:
    terminal.done("create", "secret", "--name", "Secret")
    for command in (
        ("show", "secret"),
        ("changelog", "secret"),
        ("start", "secret"),
        ("propose", "secret", settings_file()),
    ):
        assert "SplitTestNotFound" in terminal.refused(*command, "--as", "stranger")
    missing = terminal.refused("show", "no_such_test", "--as", "stranger")
    assert terminal.refused("show", "secret", "--as", "stranger") == missing.replace("no_such_test", "secret")
    assert terminal.run("list", "--json", "--as", "stranger").json() == []
    terminal.environment["USERSPLIT_SUPERUSERS"] = "root, admin"
    assert [row["key"] for row in terminal.run("list", "--json", "--as", "admin").json()] == ["secret"]


LEAF = {"filter": "country_id", "operator": "in", "value": ["50"]}
BROKEN_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown filter": ({"conditions": [{**LEAF, "filter": "contry_id"}]}, "country_id"),
    "unknown operator": ({"conditions": [{**LEAF, "operator": "within"}]}, "within"),
    "wrong type": ({"conditions": [{**LEAF, "value": ["Russia"]}]}, "Russia"),
    "mixed brackets": ({"conditions": [LEAF, "AND", LEAF, "OR", LEAF]}, "bracket"),
    "percents over 100": ({"variants": [{"name": "a", "percent": 60}, {"name": "b", "percent": 60}]}, "100"),
    "percent that is no whole number of groups": ({"variants": [{"name": "a", "percent": 33.33}]}, "33.33"),
    "an end before its start": ({"ends_at": "2025-01-01"}, "end"),
    "an endless test": ({"ends_at": None}, "end"),
    "a misspelt field": ({"condition": []}, "condition"),
}


@pytest.mark.parametrize("mistake", BROKEN_SETTINGS)
def test_broken_settings_are_refused_with_a_sentence_and_change_nothing(
    mistake: str, terminal: Terminal, settings_file: Callable[..., str]
) -> None:
    changes, word = BROKEN_SETTINGS[mistake]
    terminal.done("create", "green_button", "--name", "Green button")
    before = facts(terminal)
    sentence = terminal.refused("propose", "green_button", settings_file(**changes))
    assert word in sentence
    assert facts(terminal) == before


def test_a_settings_file_that_is_not_json_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    torn = tmp_path / "torn.json"
    torn.write_text('{"starts_at": ')
    terminal.done("create", "green_button", "--name", "Green button")
    assert "torn.json is not JSON" in terminal.refused("propose", "green_button", str(torn))


def test_a_key_that_is_taken_is_refused(terminal: Terminal) -> None:
    terminal.done("create", "green_button", "--name", "Green button")
    assert "KeyTaken" in terminal.refused("create", "green_button", "--name", "Another")
    assert facts(terminal) == 1


@pytest.mark.parametrize("key", ["green button", "зелёная", ".hidden", "a/b", ""])
def test_a_key_that_code_could_not_use_is_refused(key: str, terminal: Terminal) -> None:
    assert "key" in terminal.refused("create", key, "--name", "Green button")


def test_a_transition_that_is_not_allowed_says_what_is(terminal: Terminal, settings_file: Callable[..., str]) -> None:
    terminal.done("create", "green_button", "--name", "Green button")
    terminal.done("propose", "green_button", settings_file())
    before = facts(terminal)
    for command in (("start",), ("pause",), ("resume",), ("reject",), ("unpublish",)):
        sentence = terminal.refused(*command, "green_button")
        assert "TransitionNotAllowed" in sentence
        assert "publish" in sentence
    assert facts(terminal) == before


def test_someone_who_is_no_manager_may_look_but_not_steer(
    terminal: Terminal, settings_file: Callable[..., str]
) -> None:
    terminal.done("create", "green_button", "--name", "Green button")
    terminal.done("propose", "green_button", settings_file())
    terminal.done("publish", "green_button")
    terminal.done("show", "green_button", "--as", "stranger")
    sentence = terminal.refused("start", "green_button", "--as", "stranger")
    assert "NotAManager" in sentence
    assert "ann" in sentence


def test_a_command_id_gives_its_first_answer_again(terminal: Terminal) -> None:
    command = ("create", "green_button", "--name", "Green button", "--command-id", "c-1")
    terminal.done(*command)
    assert "done before" in terminal.done(*command)
    assert facts(terminal) == 1
    assert "CommandIdReused" in terminal.refused("create", "other", "--name", "Other", "--command-id", "c-1")


def test_a_stale_expected_version_is_refused(terminal: Terminal) -> None:
    terminal.done("create", "green_button", "--name", "Green button")
    terminal.done("edit", "green_button", "--name", "Greener button", "--expected-version", "1")
    stale = terminal.refused("edit", "green_button", "--name", "Greenest button", "--expected-version", "1")
    assert "VersionConflict" in stale


def test_read_models_are_rebuilt_from_the_terminal(terminal: Terminal, settings_file: Callable[..., str]) -> None:
    terminal.done("create", "green_button", "--name", "Green button")
    terminal.done("propose", "green_button", settings_file())
    before = terminal.run("changelog", "green_button", "--json").json()
    assert "changelog: generation 2 serves" in terminal.done("rebuild", "all")
    assert terminal.run("changelog", "green_button", "--json").json() == before


def test_a_database_without_a_schema_says_what_to_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    terminal = Terminal(capsys, {"USERSPLIT_DATABASE_URL": f"sqlite:///{tmp_path / 'new.db'}"})
    assert "python -m entrypoints migrate" in terminal.refused("list")


def test_a_database_of_another_release_says_what_to_run(terminal: Terminal) -> None:
    engine = open_database(terminal.environment["USERSPLIT_DATABASE_URL"])
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    assert "is at revision 0001" in terminal.refused("list")


def test_settings_that_are_missing_or_misspelt_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "USERSPLIT_DATABASE_URL is not set" in Terminal(capsys, {}).refused("list")
    misspelt = Terminal(capsys, {"USERSPLIT_DATABASE_ULR": "sqlite:///x"}).refused("list")
    assert "USERSPLIT_DATABASE_ULR is not a setting" in misspelt
    wrong = Terminal(capsys, {"USERSPLIT_DATABASE_URL": "mysql://root:hunter2@host/x"}).refused("list")
    assert "mysql" in wrong
    assert "hunter2" not in wrong


def test_what_people_typed_is_printed_as_they_typed_it(terminal: Terminal, settings_file: Callable[..., str]) -> None:
    terminal.environment["USERSPLIT_SUPERUSERS"] = "root"
    name, manager = "a [/oops] b :smile: [red]c", "eve [bold]"
    terminal.done("create", "m1", "--name", name, "--manager", manager, "--chat-room", "[link]", "--description", "[/]")
    terminal.done("propose", "m1", settings_file())
    assert name in terminal.done("list")
    shown = terminal.done("show", "m1")
    assert all(text in shown for text in (name, manager, "[link]", "[/]"))
    terminal.done("edit", "m1", "--name", "d [/oops] e")
    told = terminal.done("changelog", "m1")
    assert "d [/oops] e" in told
    assert "[/oops] e" in terminal.done("as-of", "m1", "--position", "4")
    assert "[/nobody]" in terminal.refused("show", "[/nobody]")


def test_an_unknown_status_is_refused_with_those_there_are(terminal: Terminal) -> None:
    outcome = terminal.run("list", "--status", "bogus")
    assert outcome.exit_code == 2
    assert all(status in outcome.err for status in ("draft", "in_dev", "running", "paused", "finished", "rejected"))


NOT_SETTINGS = {
    "deep": (b"[" * 100_000, "nested deeper than settings can be"),
    "not UTF-8": ('{"starts_at": "\xfc"}'.encode("latin-1"), "byte 15 is not UTF-8"),
    "deep conditions": (b'{"conditions": ' + b"[" * 900 + b"]" * 900 + b"}", "starts_at"),
}


@pytest.mark.parametrize("mistake", NOT_SETTINGS)
def test_a_file_that_could_not_be_settings_is_refused(mistake: str, terminal: Terminal, tmp_path: Path) -> None:
    content, said = NOT_SETTINGS[mistake]
    file = tmp_path / "settings.json"
    file.write_bytes(content)
    terminal.done("create", "green_button", "--name", "Green button")
    assert said in terminal.refused("propose", "green_button", str(file))
    assert facts(terminal) == 1


def test_a_settings_file_of_variables_that_is_not_text_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_bytes(b"USERSPLIT_ACTOR=\xfc\n")
    assert "settings.env is not UTF-8" in terminal.refused("--settings", str(file), "list")


@pytest.mark.parametrize("command", ["list", "migrate"])
def test_a_database_that_is_none_is_told_in_a_sentence(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text_file = tmp_path / "thesis.txt"
    text_file.write_text("years of work " * 100)
    wrong = {
        f"sqlite:///{tmp_path}": "DatabaseUnavailable",
        f"sqlite:///{text_file}": "NotADatabase: The database cannot be read: file is not a database",
        "postgresql+psycopg://nobody@127.0.0.1:9/none": "DatabaseUnavailable",
        "sqlite://": "USERSPLIT_DATABASE_URL names no file",
        "sqlite:///": "USERSPLIT_DATABASE_URL names no file",
        "sqlite:///:memory:": "USERSPLIT_DATABASE_URL names no file",
    }
    for url, said in wrong.items():
        assert said in Terminal(capsys, {"USERSPLIT_DATABASE_URL": url}).refused(command)
    assert text_file.read_text() == "years of work " * 100


def test_a_database_below_a_file_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    terminal = Terminal(capsys, {"USERSPLIT_DATABASE_URL": f"sqlite:///{tmp_path / 'file' / 'usersplit.db'}"})
    assert "NoPlaceForDatabase" in terminal.refused("migrate")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{bad", "USERSPLIT_KAFKA_OPTIONS is not JSON"),
        ("[]", "USERSPLIT_KAFKA_OPTIONS"),
        ('{"no.such.option": "1"}', 'No such configuration property: "no.such.option"'),
        ('{"session.timeout.ms": "soon"}', "session.timeout.ms"),
    ],
)
def test_kafka_options_that_nobody_knows_are_told_in_a_sentence(options: str, said: str, terminal: Terminal) -> None:
    terminal.environment |= {
        "USERSPLIT_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "USERSPLIT_KAFKA_OPTIONS": options,
    }
    for command in (("migrate",), ("dead-letters", "list")):
        assert said in terminal.refused(*command), command
