"""An operator and a curious manager at a terminal: projections and what was in force when."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from events.database import open_database, write_transaction
from projections import changelog, registry
from tests.support.terminal import Terminal

SETTINGS: dict[str, Any] = {
    "starts_at": "2026-01-01",
    "ends_at": "2036-01-01",
    "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
    "variants": [{"name": "control", "percent": 50, "control": True}, {"name": "green", "percent": 50}],
}
VISIT = ("--user", "42", "--split-group", "7", "--attribute", "country_id=50", "--attribute", "is_test_user=true")


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    url = f"sqlite:///{tmp_path / 'usersplit.db'}"
    terminal = Terminal(capsys, {"USERSPLIT_DATABASE_URL": url, "USERSPLIT_ACTOR": "ann"})
    terminal.done("migrate")
    return terminal


@pytest.fixture
def published(terminal: Terminal, tmp_path: Path) -> Terminal:
    """Created at position 1, proposed at 2, prepared at 3, published at 4."""
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(SETTINGS))
    terminal.done("create", "green_button", "--name", "Green button")
    terminal.done("propose", "green_button", str(settings))
    terminal.done("publish", "green_button")
    return terminal


def as_of(terminal: Terminal, *arguments: str) -> Any:
    return terminal.run("as-of", "green_button", *arguments, "--json").json()


def test_what_was_in_force_is_printed_with_who_made_it_so(published: Terminal) -> None:
    printed = published.done("as-of", "green_button", "--position", "3")
    assert re.search(r"status +Draft", printed)
    assert "asked for by  ann at " in printed
    assert "in force by   preparer at " in printed
    assert re.search(r"variant +green: 50 %, 1200 split groups", printed)


def test_a_user_gets_what_that_moment_gave_and_not_what_today_gives(published: Terminal) -> None:
    then = as_of(published, "--position", "4", *VISIT)
    published.done("unpublish", "green_button")
    assert then["answer"]["variant"] in {"control", "green"}
    assert as_of(published, "--position", "4", *VISIT) == then
    assert as_of(published, "--position", "5", *VISIT)["answer"]["reason"] != then["answer"]["reason"]


def test_a_moment_is_the_position_that_the_log_had_reached(published: Terminal) -> None:
    at = as_of(published, "--position", "4")["at"]
    assert as_of(published, "--at", at)["position"] == 4
    assert as_of(published, "--at", "2100-01-01")["position"] == 4
    assert as_of(published, "--at", "2100-01-01", *VISIT)["answer"]["variant"], "In Dev, dates are ignored"
    assert "was no split test" in published.refused("as-of", "green_button", "--at", "2020-01-01T00:00Z")


def test_dates_are_those_of_the_moment_that_is_asked_about(published: Terminal) -> None:
    published.done("start", "green_button")
    visit = ("--user", "42", "--split-group", "7", "--attribute", "country_id=50")
    during, over = (as_of(published, "--at", at, *visit)["answer"] for at in ("2035-12-31", "2036-01-02"))
    assert during["variant"] in {"control", "green"}
    assert (over["variant"], during["reason"] == over["reason"]) == (None, False)


def test_a_stranger_sees_what_they_could_have_seen_then_and_may_see_today(published: Terminal) -> None:
    assert "In Dev" in published.done("as-of", "green_button", "--position", "4", "--as", "bob")
    refused = published.refused("as-of", "green_button", "--position", "3", "--as", "bob")
    assert refused.startswith("NothingThen: There was no split test green_button that you could see at position 3")
    published.done("unpublish", "green_button")
    assert "SplitTestNotFound" in published.refused("as-of", "green_button", "--position", "4", "--as", "bob")
    published.done("as-of", "green_button", "--position", "4", "--as", "ann")


def test_questions_that_make_no_sense_are_refused_with_a_sentence(published: Terminal) -> None:
    assert "it ends at 4" in published.refused("as-of", "green_button", "--position", "5")
    assert "is not a moment" in published.refused("as-of", "green_button", "--at", "yesterday")
    assert "SplitTestNotFound" in published.refused("as-of", "red_button", "--position", "1")
    assert "is not NAME=VALUE" in published.refused(
        "as-of", "green_button", "--position", "4", "--user", "1", "--attribute", "x"
    )
    for when in ([], ["--position", "1", "--at", "2026-05-01"]):
        outcome = published.run("as-of", "green_button", *when)
        assert (outcome.exit_code, "Say when" in outcome.err) == (2, True)
    for who in (["--split-group", "7"], ["--user", "1", "--guest", "2"]):
        outcome = published.run("as-of", "green_button", "--position", "4", *who)
        assert (outcome.exit_code, "Say who" in outcome.err) == (2, True)


def listed(terminal: Terminal) -> dict[str, Any]:
    return {each["name"]: each for each in terminal.run("projections", "--json").json()}


def test_projections_are_listed_with_their_lag_and_how_to_go_on(terminal: Terminal) -> None:
    assert {each["state"] for each in listed(terminal).values()} == {"missing"}
    terminal.done("create", "green_button", "--name", "Green button")
    terminal.done("projections", "pause", "changelog", "--reason", "a look at its rows")
    terminal.done("create", "red_button", "--name", "Red button")
    found = listed(terminal)
    assert (found["changelog"]["state"], found["changelog"]["lag"], found["changelog"]["serves"]) == ("paused", 1, True)
    assert (found["test_list"]["state"], found["test_list"]["lag"]) == ("live", 0)
    printed = terminal.done("projections")
    assert "changelog is paused: a look at its rows" in printed
    assert "projections resume changelog" in printed
    assert "Green button" in terminal.done("changelog", "green_button"), "readers are given its last rows"
    terminal.done("projections", "resume", "changelog")
    assert "Red button" in terminal.done("changelog", "red_button")
    assert listed(terminal)["changelog"]["lag"] == 0


def test_a_pause_during_a_rebuild_says_that_the_rebuild_will_end_it(terminal: Terminal, tmp_path: Path) -> None:
    terminal.done("create", "green_button", "--name", "Green button")
    assert "A rebuild" not in terminal.done("projections", "pause", "config")
    engine = open_database(f"sqlite:///{tmp_path / 'usersplit.db'}")
    with write_transaction(engine) as connection:
        registry.create(connection, changelog.PROJECTION, number=2, state="building")
    engine.dispose()
    assert "When it ends, changelog goes on" in terminal.done("projections", "pause", "changelog")


def test_what_is_not_paused_is_not_resumed(terminal: Terminal) -> None:
    assert "NothingToPause" in terminal.refused("projections", "pause", "changelog")
    terminal.done("create", "green_button", "--name", "Green button")
    assert "NothingToResume" in terminal.refused("projections", "resume", "changelog")
    assert terminal.run("projections", "pause", "no_such").exit_code == 2


def test_one_or_all_projections_are_rebuilt_with_figures(terminal: Terminal) -> None:
    terminal.done("create", "green_button", "--name", "Green button")
    assert "changelog: generation 2 serves, version 3, position 1." in terminal.done("rebuild", "changelog")
    printed = terminal.done("rebuild", "all")
    assert "changelog: generation 3 serves" in printed
    assert "config: generation 2 serves" in printed
    assert re.search(r"1 events in \d+\.\d s, [\d,]+ events/s\.", printed)
    assert {each["state"] for each in listed(terminal).values()} == {"live"}
