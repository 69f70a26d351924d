"""What operators do with people's accounts: make one (the first superuser too), change it, list all."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from accounts.desk import Desk
from accounts.identity import ROLES
from accounts.signing import replace_kept_key
from accounts.tokens import said_of_use
from entrypoints.backbone import open_backbone
from entrypoints.clock import now
from entrypoints.console import DataTable, console, plain
from entrypoints.settings import AccountSettings
from events.database import named_errors

name_argument = click.argument("name")


class PasswordsDiffer(Exception):
    """A password that was typed twice came out differently."""

    def __init__(self) -> None:
        super().__init__("the two passwords differ; type them again")


@contextmanager
def _desk() -> Iterator[tuple[Desk, AccountSettings]]:
    settings = AccountSettings.read()
    backbone = open_backbone(settings.database_url.get_secret_value())
    try:
        with named_errors():
            yield Desk(backbone.engine, now=now, monotonic=time.monotonic), settings
    finally:
        backbone.close()


def _password(settings: AccountSettings) -> str:
    given = settings.new_password.get_secret_value()
    if given:
        return given
    first = str(click.prompt("Password", hide_input=True, err=True))
    if click.prompt("Once more", hide_input=True, err=True) != first:
        raise PasswordsDiffer
    return first


@click.command("create-account")
@name_argument
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What the person may do.")
@click.option("--openid-only", is_flag=True, help="No password: the company's identity provider alone opens it.")
def create_account(name: str, role: str, *, openid_only: bool) -> None:
    """Make an account. The first one should be a superuser, who makes the others on the pages.

    The password is asked for, or taken from USERSPLIT_NEW_PASSWORD. Never a command's argument: others can see those.
    """
    with _desk() as (desk, settings):
        account = desk.directory.create(name, role, password=None if openid_only else _password(settings))
    click.echo(f"{account.name} can sign in, as {account.role}.")


@click.command("change-account")
@name_argument
@click.option("--role", type=click.Choice(ROLES), help="Another role.")
@click.option("--close", "is_active", flag_value=False, default=None, type=bool, help="Let nobody in with it any more.")
@click.option("--open", "is_active", flag_value=True, default=None, type=bool, help="Open a closed one again.")
@click.option("--password", "new_password", is_flag=True, help="Set a new password; it is asked for.")
@click.option("--openid-only", is_flag=True, help="Take its password away: the identity provider alone opens it.")
def change_account(
    name: str,
    role: str | None,
    is_active: bool | None,  # noqa: FBT001
    *,
    new_password: bool,
    openid_only: bool,
) -> None:
    """Change an account: its role, its password; close it, or open it again.

    With --openid-only the first person who has its name at the identity provider has it from then on.
    """
    if role is None and is_active is None and not new_password and not openid_only:
        raise click.UsageError("Say what to change: --role, --close, --open, --password or --openid-only.")
    if new_password and openid_only:
        raise click.UsageError("--password and --openid-only exclude each other.")
    with _desk() as (desk, settings):
        if new_password:
            desk.directory.set_password(name, _password(settings))
        if openid_only:
            desk.directory.invite(name)
        account = desk.directory.change(name, role=role, is_active=is_active)
    click.echo(f"{account.name} is {account.role}, {'open' if account.is_active else 'closed'}.")


@click.command("accounts")
def accounts() -> None:
    """List the accounts: who may do what, and how each signs in."""
    with _desk() as (desk, _):
        found = desk.directory.all()
    if not found:
        click.echo("No accounts yet. Make one: python -m entrypoints create-account NAME --role superuser")
        return
    table = DataTable("account", "role", "signs in by", "state", "since (UTC)")
    for account in found:
        state = "open" if account.is_active else plain("closed", style="red")
        ways = ", ".join(account.signs_in_by) or "nothing"
        table.add_row(account.name, account.role, ways, state, f"{account.created_at:%Y-%m-%d %H:%M}")
    console().print(table)


@click.command("tokens")
@click.option("--account", help="Those of one account.")
def tokens(account: str | None) -> None:
    """List the API tokens that open something: whose, what for, what they may, and when each was used last."""
    with _desk() as (desk, _):
        owner = desk.directory.get(account).name if account else None
        found = [token for token in desk.tokens.of(owner) if not token.is_over(now())]
    if not found:
        click.echo("No API tokens. People make them on their page, /me.")
        return
    table = DataTable("account", "label", "may", "ends (UTC)", "use", "id")
    for token in found:
        ends = "never" if token.expires_at is None else f"{token.expires_at:%Y-%m-%d %H:%M}"
        table.add_row(token.account, token.label, " ".join(token.scopes), ends, said_of_use(token), token.token_id)
    console().print(table)


@click.command("replace-session-key")
@click.option("--sign-out", is_flag=True, help="The old key may be in wrong hands: nobody stays signed in.")
def replace_session_key(*, sign_out: bool) -> None:
    """Replace the key that signs sessions, where the database keeps it. People stay signed in.

    Restart `serve` afterwards, so that it signs with the new key. The old one is believed until you replace it again.
    """
    with _desk() as (desk, _):
        replace_kept_key(desk.engine, forget_old=sign_out)
    stay = "Everybody signs in again" if sign_out else "People stay signed in"
    click.echo(f"The key is replaced. {stay} once `serve` is restarted.")
