"""Users of a test, a variant and a user group, walked at a terminal into a file."""

import json
from pathlib import Path

import pytest

from tests.support.counted_backbone import ADULTS, COUNTRIES, VISITORS, proposal
from tests.support.terminal import Terminal


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    terminal = Terminal(
        capsys,
        {
            "USERSPLIT_DATABASE_URL": f"sqlite:///{tmp_path / 'usersplit.db'}",
            "USERSPLIT_ACTOR": "anna",
            "USERSPLIT_USERS_URL": f"duckdb:///{tmp_path / 'users.duckdb'}",
        },
    )
    terminal.done("migrate")
    terminal.done("users", "generate", "--users", "3000")
    terminal.done("create", "button", "--name", "Button")
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(proposal({"control": 25, "red": 50}, [COUNTRIES])))
    terminal.done("propose", "button", str(settings))
    conditions = tmp_path / "conditions.json"
    conditions.write_text(json.dumps([ADULTS]))
    terminal.done("groups", "create", "adults", "--name", "Adults")
    terminal.done("groups", "propose-conditions", "adults", str(conditions))
    return terminal


def ids(printed: str) -> list[int]:
    return [json.loads(line) for line in printed.splitlines()]


def test_the_variants_of_a_test_are_its_users_and_all_of_them_meet_its_conditions(terminal: Terminal) -> None:
    of_test = ids(terminal.done("users", "walk", "--test", "button", "--batch", "100"))
    control, red = (
        ids(terminal.done("users", "walk", "--test", "button", "--variant", name)) for name in ("control", "red")
    )
    assert sorted(control + red) == of_test
    assert set(of_test) < set(ids(terminal.done("users", "walk", json.dumps([COUNTRIES]))))
    shown = terminal.done("show", "button")
    assert all(f"{len(each):,} users" in shown for each in (control, red))
    assert ids(terminal.done("users", "walk", "--group", "adults")) == ids(
        terminal.done("users", "walk", json.dumps([ADULTS]))
    )


def test_a_walk_that_was_interrupted_goes_on_where_its_file_ends(terminal: Terminal, tmp_path: Path) -> None:
    whole, file = ["users", "walk", "--group", "adults"], tmp_path / "adults.jsonl"
    expected = terminal.done(*whole)
    to_file = [*whole, "--batch", "500", "--output", str(file)]
    assert "there is no file" in terminal.refused(*to_file, "--resume")
    assert f"{len(ids(expected)):,} users written" in terminal.done(*to_file)
    assert file.read_text() == expected
    assert "is there already" in terminal.refused(*to_file)
    half = expected.index("\n", len(expected) // 2)
    file.write_text(expected[: half - 1])  # a line that was being written when the process was killed
    assert "users written" in terminal.done(*to_file, "--resume")
    assert file.read_text() == expected
    assert "0 users written" in terminal.done(*to_file, "--resume")
    file.write_text("not a walk\n")
    assert "it was not written by a walk" in terminal.refused(*to_file, "--resume")
    assert file.read_text() == "not a walk\n"
    last = ids(expected)[10]
    assert ids(terminal.done(*whole, "--after", str(last))) == ids(expected)[11:]


def test_mistakes_are_answered_with_a_sentence(terminal: Terminal, tmp_path: Path) -> None:
    assert "there is no split test" in terminal.refused("users", "walk", "--test", "gone")
    assert "there is no split test" in terminal.refused("users", "walk", "--test", "button", "--as", "eve")
    assert "there is no user group" in terminal.refused("users", "walk", "--group", "adults", "--as", "eve")
    assert "has no variant 'blue'" in terminal.refused("users", "walk", "--test", "button", "--variant", "blue")
    assert "is no identifier" in terminal.refused("users", "walk", "[]", "--after", "anna")
    for wrong in ([], ["[]", "--test", "button"], ["[]", "--variant", "red"], ["[]", "--resume"]):
        assert terminal.run("users", "walk", *wrong).exit_code == 2
    outcome = terminal.run("users", "walk", json.dumps([COUNTRIES, "AND", VISITORS]))
    assert "No column holds platform" in outcome.err
    (tmp_path / "users.duckdb").unlink()
    assert "there is no DuckDB file" in terminal.refused("users", "walk", "[]")
