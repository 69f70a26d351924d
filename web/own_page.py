"""Your account: the own password, signing out everywhere, and API tokens that speak for you."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from accounts.directory import Account
from accounts.errors import TooManyAttempts, WeakPassword, WrongPassword
from accounts.tokens import ApiToken
from web.account_changes import change, password_field, say_beside
from web.asking import ask, button
from web.frame import Visit, card, frame, head, note
from web.guard import login_address
from web.new_token import NewToken
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.token_list import TokenList, read_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    account: Account
    tokens: Sequence[ApiToken]


async def build(visit: Visit) -> None:
    """Show the page, to everybody their own."""
    seen = await asyncio.to_thread(_read, visit)
    with frame(visit, "Your account"):
        with head("Your account", sub=f"{visit.person.name}, {visit.person.role}"):
            ui.button("Sign out everywhere", on_click=_ask_to_sign_out).props("outline")
        with ui.element("div").classes("us-columns"):
            with card("API tokens"):
                note(
                    "A token speaks for you, in a program, and may at most what you may. Whoever has it, is you there: "
                    "give each program its own, with as little as it needs."
                )
                tokens = TokenList(visit, visit.person.name, seen.tokens)
            with ui.element("div").classes("us-stack"):
                with card("A new API token"):
                    NewToken(visit, tokens.look)
                with card("Password"):
                    _password(visit, seen.account)


def _read(visit: Visit) -> _Seen:
    name = visit.present().name
    return _Seen(account=visit.parts.desk.directory.get(name), tokens=read_tokens(visit, name))


def _ask_to_sign_out() -> None:
    does = (
        "Every browser in which you are signed in asks for your sign-in again, this one too. API tokens live on; "
        "revoke those one by one."
    )

    async def take() -> str:
        # As the button in the bar does: the browser lets go of its cookie, and leaves the identity provider as well.
        ui.run_javascript("signOut(true)")
        return ""

    ask("Sign out everywhere?", does, take, label="Sign out everywhere")


def _password(visit: Visit, account: Account) -> None:
    if "password" not in account.signs_in_by:
        html("no_password.html", company=visit.parts.company_label)
        return
    now_field = ui.input("Password until now", password=True)
    now_field.props("outlined dense autocomplete=current-password").style("width: 100%")
    new_field = password_field("New password")
    problem = ui.label().classes("us-error").props("role=alert")

    async def take() -> str | None:
        def act() -> str:
            desk, name = visit.parts.desk, visit.person.name
            desk.check_password(name, now_field.value or "", address=visit.came_from)
            desk.directory.set_password(name, new_field.value or "")
            return f"password of {name} set"

        try:
            await change(visit, "evaluate", act)
        except REFUSALS as error:
            said = refused(error, by=visit.person.name)
            match error:
                case WrongPassword():
                    say_beside(now_field, "This is not your password.")
                case TooManyAttempts():
                    say_beside(now_field, said)
                case WeakPassword():
                    say_beside(new_field, said)
                case _:
                    return said
            return None
        ui.navigate.to(login_address(visit.address))
        return ""

    with ui.element("div"):
        button("Change my password", take, problem)
    ui.label("You are signed out everywhere then, and sign in with the new one.").classes("us-muted us-small")
