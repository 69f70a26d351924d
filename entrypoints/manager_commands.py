"""What managers do in a terminal: create, propose settings, steer. Each command is one command of the domain."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from commands.split_tests import Request, SplitTestCommands
from domain.people import Actor
from entrypoints.backbone import Backbone, open_backbone
from entrypoints.databases import open_users
from entrypoints.estimate_lines import estimate_lines
from entrypoints.settings import TerminalSettings
from entrypoints.visible import visible
from events.database import named_errors
from events.store import Appended
from projections import current_settings

key_argument = click.argument("key")
as_option = click.option(
    "--as",
    "name",
    default=None,
    metavar="NAME",
    help="Who you are; USERSPLIT_ACTOR or your login name otherwise.",
)
command_id_option = click.option(
    "--command-id",
    default="",
    help="An id of your own making: the same id again returns the first answer instead of doing it twice.",
)
expected_version_option = click.option(
    "--expected-version",
    type=click.IntRange(min=0),
    help="Refuse if somebody changed it since you saw this version (`show` prints it).",
)


class NotJson(Exception):
    """The file is not JSON, or not JSON that could be settings or conditions."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"{path} is not JSON: {detail}. See the command's --help")


def acting(name: str | None, settings: TerminalSettings) -> Actor:
    """Return who acts: `name`, else who the settings say, else the login name."""
    who = name or settings.actor or getpass.getuser()
    # Whoever reaches the database may do what QA does: roles belong to the accounts of the pages and the API.
    return Actor(name=who, is_superuser=who in settings.superuser_names(), may_override=True)


@contextmanager
def backbone_for(name: str | None) -> Iterator[tuple[Backbone, Actor]]:
    """Yield the backbone of the database in the settings, and who acts."""
    settings = TerminalSettings.read()
    backbone = open_backbone(
        settings.database_url.get_secret_value(),
        catalog_path=settings.catalog,
        users=open_users(settings),
        base_rate=settings.base_rate,
    )
    try:
        with named_errors():
            yield backbone, acting(name, settings)
    finally:
        backbone.close()


def steering(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every command that changes a test takes."""
    for option in (expected_version_option, command_id_option, as_option):
        function = option(function)
    return function


def _nothing(backbone: Backbone) -> None:
    del backbone


def carry_out(
    name: str | None,
    command_id: str,
    expected_version: int | None,
    *,
    done: str,
    what: Callable[[Backbone, Request], Appended],
    then: Callable[[Backbone], object] = _nothing,
) -> None:
    """Give one command, let the read models catch up to it, say what was done, and do what comes `then`."""
    with backbone_for(name) as (backbone, actor):
        request = Request(actor=actor, command_id=command_id, expected_version=expected_version)
        appended = what(backbone, request)
        backbone.projector.catch_up(until=appended.position)
        again = " (done before, by the same command id)" if appended.replayed else ""
        click.echo(visible(f"{done}{again} Version {appended.version}."))
        then(backbone)


def _do(
    name: str | None,
    command_id: str,
    expected_version: int | None,
    *,
    done: str,
    what: Callable[[SplitTestCommands, Request], Appended],
) -> None:
    carry_out(
        name,
        command_id,
        expected_version,
        done=done,
        what=lambda backbone, request: what(backbone.split_tests, request),
    )


@click.command()
@key_argument
@click.option("--name", "test_name", required=True, help="What people call it.")
@click.option("--description", default="", help="What is tested, and why.")
@click.option("--type", "test_type", default="web", show_default=True, help="web, mobile, server, email …")
@click.option("--issue", "issue_key", default="", help="The issue it belongs to, such as WEB-123.")
@click.option("--chat-room", default="", help="Where its people talk.")
@click.option("--manager", "managers", multiple=True, help="A further test manager; may be given several times.")
@steering
def create(  # noqa: PLR0913, PLR0917 - a form has the fields it has
    key: str,
    test_name: str,
    description: str,
    test_type: str,
    issue_key: str,
    chat_room: str,
    managers: tuple[str, ...],
    name: str | None,
    command_id: str,
    expected_version: int | None,
) -> None:
    """Create a split test. KEY is what code will use: letters, digits, dot, dash, underscore.

    It is a Draft: only you, its managers and superusers see it. Next: `propose`.
    """
    _do(
        name,
        command_id,
        expected_version,
        done=f"Created {key}, a Draft.",
        what=lambda commands, request: commands.create(
            request,
            key=key,
            name=test_name,
            description=description,
            type=test_type,
            issue_key=issue_key,
            chat_room=chat_room,
            managers=managers,
        ),
    )


@click.command()
@key_argument
@click.option("--name", "test_name", help="What people call it.")
@click.option("--description", help="What is tested, and why.")
@click.option("--type", "test_type", help="web, mobile, server, email …")
@click.option("--issue", "issue_key", help="The issue it belongs to.")
@click.option("--chat-room", help="Where its people talk.")
@steering
def edit(  # noqa: PLR0913, PLR0917 - a form has the fields it has
    key: str,
    test_name: str | None,
    description: str | None,
    test_type: str | None,
    issue_key: str | None,
    chat_room: str | None,
    name: str | None,
    command_id: str,
    expected_version: int | None,
) -> None:
    """Edit a test's properties; what is not given stays as it is."""
    given = {
        "name": test_name,
        "description": description,
        "type": test_type,
        "issue_key": issue_key,
        "chat_room": chat_room,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    _do(
        name,
        command_id,
        expected_version,
        done=f"Edited {key}.",
        what=lambda commands, request: commands.edit_properties(request, key, changes),
    )


@click.command()
@key_argument
@click.option("--add", multiple=True, metavar="NAME", help="Who becomes a test manager.")
@click.option("--remove", multiple=True, metavar="NAME", help="Who is one no longer.")
@steering
def managers(
    key: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    name: str | None,
    command_id: str,
    expected_version: int | None,
) -> None:
    """Change who manages a test."""
    _do(
        name,
        command_id,
        expected_version,
        done=f"Changed the managers of {key}.",
        what=lambda commands, request: commands.change_managers(request, key, add=add, remove=remove),
    )


@click.command()
@key_argument
@click.argument("settings_file", type=click.File("r", encoding="utf-8"))
@steering
def propose(key: str, settings_file: Any, name: str | None, command_id: str, expected_version: int | None) -> None:
    """Propose new settings from a JSON file (- reads standard input), and prepare them.

    \b
    {"starts_at": "2027-01-10", "ends_at": "2027-02-10",
     "conditions": [{"filter": "country_id", "operator": "in", "value": ["50"]}],
     "variants": [{"name": "control", "percent": 10, "control": true},
                  {"name": "green", "percent": 10}]}

    With "total_percent": 20 and variants without percents, the total is split equally. `filters` lists what
    conditions can ask. The settings in force stay until the new ones are prepared.
    """  # noqa: D301 - \b is click's mark for text that keeps its lines
    document = read_json(settings_file)
    with backbone_for(name) as (backbone, actor):
        request = Request(actor=actor, command_id=command_id, expected_version=expected_version)
        appended = backbone.split_tests.propose_settings(request, key, document)
        click.echo(f"Proposed new settings for {key}. Version {appended.version}. Preparing …")
        _prepare(backbone, key)


@click.command()
@key_argument
@steering
def retry(key: str, name: str | None, command_id: str, expected_version: int | None) -> None:
    """Prepare once more the settings whose preparation failed."""
    with backbone_for(name) as (backbone, actor):
        request = Request(actor=actor, command_id=command_id, expected_version=expected_version)
        backbone.split_tests.retry_preparation(request, key)
        _prepare(backbone, key)


def read_json(file: Any) -> Any:
    """Return what a file of JSON says.

    Raises:
        NotJson: it is none.
    """
    path = Path(file.name)
    try:
        return json.loads(file.read())
    except UnicodeDecodeError as error:
        raise NotJson(path, f"byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except ValueError as error:
        raise NotJson(path, str(error)) from error
    except RecursionError as error:
        raise NotJson(path, "its brackets are nested deeper than settings can be") from error


def _prepare(backbone: Backbone, key: str) -> None:
    """Prepare here and now; the preparer process may be faster, which is just as well.

    Where users are counted, but not by this terminal, it is left to who counts them: the test would have no estimate.
    """
    if backbone.audience is None:
        with backbone.reading() as connection:
            users_are_counted = current_settings.are_counted(connection)
        if users_are_counted:
            click.echo(
                "Left to the preparer's process, which counts users; for this terminal USERSPLIT_USERS_URL is not set. "
                "How far it is: preparations"
            )
            return
    backbone.preparer.prepare(key)
    with backbone.reading() as connection:
        settings = current_settings.get(connection, key)
    if settings is None:
        return
    if settings.pending_state == "failed":
        reason = visible(settings.pending_reason)
        click.echo(f"Preparation failed: {reason} The settings in force stay. Try: retry {key}")
        sys.exit(1)
    click.echo(f"Settings group {settings.settings_group} is current.")
    control = next((variant.name for variant in settings.variants if variant.is_control), "")
    for label, text in estimate_lines(settings, control=control):
        click.echo(visible(f"  {label}: {text}"))


def _transition(verb: str, done: str, explanation: str) -> click.Command:
    @click.command(name=verb, help=explanation)
    @key_argument
    @steering
    def command(key: str, name: str | None, command_id: str, expected_version: int | None) -> None:
        _do(
            name,
            command_id,
            expected_version,
            done=f"{key} is {done}.",
            what=lambda commands, request: getattr(commands, verb)(request, key),
        )

    return command


publish = _transition("publish", "In Dev now", "Draft → In Dev: developers see it, test users get its variants.")
unpublish = _transition("unpublish", "a Draft again", "In Dev → Draft.")
discard = _transition("discard", "discarded; the key is free again", "Throw a Draft away.")
start = _transition("start", "Running now", "In Dev → Running: real users get its variants, between its dates.")
pause = _transition("pause", "Paused: nobody gets a variant", "Running → Paused.")
resume = _transition("resume", "Running again", "Paused → Running.")
reject = _transition(
    "reject", "Rejected: the old behaviour stays", "Running or Paused → Rejected: keep the old behaviour."
)


@click.command()
@key_argument
@click.argument("variant")
@click.option(
    "--scope",
    type=click.Choice(["worldwide", "conditions"]),
    default="worldwide",
    show_default=True,
    help="To everybody, or to those who meet the conditions.",
)
@steering
def finish(key: str, variant: str, scope: str, name: str | None, command_id: str, expected_version: int | None) -> None:
    """Running or Paused → Finished: VARIANT is the result, and is given from now on."""
    _do(
        name,
        command_id,
        expected_version,
        done=f"{key} is Finished with {variant}.",
        what=lambda commands, request: commands.finish(request, key, resulting_variant=variant, scope=scope),
    )
