"""The command line teaches, and tells a refusal from a fault."""

import click
import pytest

from domain.errors import SplitTestNotFound
from entrypoints import cli


def test_every_command_can_be_loaded_and_says_what_it_does() -> None:
    context = click.Context(cli.cli)
    for name in cli.cli.list_commands(context):
        command = cli.cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(), name


def test_help_lists_the_commands_by_who_needs_them(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["--help"])
    printed = capsys.readouterr().out
    for section in cli.COMMANDS:
        assert f"{section}:" in printed


@pytest.mark.parametrize(
    ("arguments", "exit_code"), [(["no-such-command"], 2), (["create"], 2), (["check", "x"], 2), (["healthy"], 2)]
)
def test_what_is_not_understood_exits_with_2(
    arguments: list[str], exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(arguments)
    assert exited.value.code == exit_code
    assert "Error:" in capsys.readouterr().err


def test_a_rule_is_told_in_one_sentence_and_a_fault_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(**_: object) -> None:
        raise SplitTestNotFound("green_button")

    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli.cli, "main", refuse)
    with pytest.raises(SystemExit) as exited:
        cli.main([])
    assert exited.value.code == cli.FAILED
    said = capsys.readouterr().err
    assert said.startswith("SplitTestNotFound: ")
    assert len(said.splitlines()) == 1
    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main([])
