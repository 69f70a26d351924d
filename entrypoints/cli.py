"""The command line: its groups of commands, its global options, and how errors reach a person.

Commands are loaded when they are called, so that `healthy` (asked every ten seconds by a container) does not import a
warehouse to look at a file.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
from dotenv import load_dotenv

from entrypoints.on_demand import load
from entrypoints.visible import visible

COMMANDS: Final[Mapping[str, Mapping[str, str]]] = {
    "For managers": {
        "create": "entrypoints.manager_commands:create",
        "propose": "entrypoints.manager_commands:propose",
        "preview": "entrypoints.preview_commands:preview",
        "retry": "entrypoints.manager_commands:retry",
        "preparations": "entrypoints.preview_commands:preparations",
        "edit": "entrypoints.manager_commands:edit",
        "managers": "entrypoints.manager_commands:managers",
        "publish": "entrypoints.manager_commands:publish",
        "unpublish": "entrypoints.manager_commands:unpublish",
        "discard": "entrypoints.manager_commands:discard",
        "start": "entrypoints.manager_commands:start",
        "pause": "entrypoints.manager_commands:pause",
        "resume": "entrypoints.manager_commands:resume",
        "finish": "entrypoints.manager_commands:finish",
        "reject": "entrypoints.manager_commands:reject",
        "groups": "entrypoints.user_group_commands:groups",
    },
    "For QA": {
        "force": "entrypoints.override_commands:force",
        "forget": "entrypoints.override_commands:forget",
        "disable-tests": "entrypoints.override_commands:disable_tests",
        "enable-test": "entrypoints.override_commands:enable_test",
        "overrides": "entrypoints.override_commands:overrides",
    },
    "For everybody": {
        "list": "entrypoints.reading_commands:list_tests",
        "show": "entrypoints.reading_commands:show",
        "changelog": "entrypoints.reading_commands:changelog",
        "check": "entrypoints.reading_commands:check",
        "as-of": "entrypoints.as_of_command:as_of",
        "filters": "entrypoints.reading_commands:filters",
    },
    "For operators": {
        "migrate": "entrypoints.operator_commands:migrate",
        "accounts": "entrypoints.account_commands:accounts",
        "create-account": "entrypoints.account_commands:create_account",
        "change-account": "entrypoints.account_commands:change_account",
        "tokens": "entrypoints.account_commands:tokens",
        "replace-session-key": "entrypoints.account_commands:replace_session_key",
        "users": "entrypoints.audience_commands:users_group",
        "projections": "entrypoints.projection_commands:projections",
        "rebuild": "entrypoints.projection_commands:rebuild",
        "dead-letters": "entrypoints.operator_commands:dead_letters",
        "hits": "entrypoints.operator_commands:hits",
        "lost-hits": "entrypoints.lost_hits_command:lost_hits",
        "servers": "entrypoints.server_commands:servers",
        "republish": "entrypoints.server_commands:republish",
        "healthy": "entrypoints.health_command:healthy",
    },
    "Processes": {
        "projector": "entrypoints.process_commands:projector",
        "preparer": "entrypoints.process_commands:preparer",
        "relay": "entrypoints.process_commands:relay",
        "agent": "entrypoints.process_commands:agent",
        "laid-out": "entrypoints.process_commands:laid_out",
        "bi-sink": "entrypoints.process_commands:bi_sink",
        "dimensions": "entrypoints.process_commands:dimensions",
        "code-deployed": "entrypoints.process_commands:code_deployed",
        "override-expiry": "entrypoints.process_commands:override_expiry",
        "notifier": "entrypoints.process_commands:notifier",
        "serve": "entrypoints.process_commands:serve",
        "registry": "entrypoints.process_commands:registry",
    },
    "To see it run": {
        "demo": "entrypoints.demo_command:demo",
        "replay-csv": "entrypoints.replay_command:replay_csv",
    },
}
_PLACES: Final = {name: place for commands in COMMANDS.values() for name, place in commands.items()}


class NotReadable(Exception):
    """The file of settings is not text."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not UTF-8; save the file of settings as UTF-8")


FAILED: Final = 1
"""Exit code of a command that was understood and refused; click itself uses 2 for one it did not understand."""


class TeachingGroup(click.Group):
    """A group that loads its commands on demand and lists them by who needs them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name, in the order of the help."""
        del ctx
        return list(_PLACES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        del ctx
        place = _PLACES.get(cmd_name)
        if place is None:
            return None
        command: click.Command = load(place)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in sections."""
        for section, names in COMMANDS.items():
            rows = [(name, self._summary(ctx, name)) for name in names]
            with formatter.section(section):
                formatter.write_dl(rows)

    def _summary(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=90) if command else ""


@click.group(
    cls=TeachingGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""
\b
A first test, from nothing (README.md has the whole story):
  export USERSPLIT_DATABASE_URL=sqlite:///var/usersplit.db
  python -m entrypoints migrate
  python -m entrypoints create green_button --name "Green button"
  python -m entrypoints propose green_button settings.json
  python -m entrypoints publish green_button
  python -m entrypoints check green_button --user 42 --split-group 7 --attribute is_test_user=true
""",
)
@click.option(
    "--settings",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of USERSPLIT_… variables, one NAME=value a line; the environment wins over it.",
)
def cli(settings: Path | None) -> None:
    """UserSplit: split tests, from a manager's command to a row in BI.

    Every setting is an environment variable that starts with USERSPLIT_; a command says which ones it misses.
    """
    if settings:
        try:
            load_dotenv(settings, override=False)
        except UnicodeDecodeError as error:
            raise NotReadable(settings) from error


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 refused (with a sentence that says why), 2 not understood."""
    try:
        cli.main(args=arguments, prog_name="python -m entrypoints", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.Exit as wish:
        sys.exit(wish.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if not _is_meant_for_people(error):
            raise
        click.echo(visible(f"{type(error).__name__}: {error}"), err=True)
        sys.exit(FAILED)


def _is_meant_for_people(error: Exception) -> bool:
    """Say whether the error is one of ours: a named rule with a sentence. Anything else keeps its traceback."""
    rooms = {place.partition(".")[0] for place in (base.__module__ for base in type(error).__mro__)}
    return bool(rooms & _OUR_ROOMS)


_OUR_ROOMS: Final[frozenset[Any]] = frozenset(
    {
        "accounts",
        "api",
        "audience",
        "commands",
        "consumers",
        "domain",
        "entrypoints",
        "events",
        "migrations",
        "notifications",
        "projections",
        "streams",
        "usersplit",
        "warehouse",
    }
)
