"""An account, for superusers: its role, what opens it, its sessions and API tokens."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nicegui import ui

from accounts.directory import Account
from accounts.errors import NoSuchAccount
from accounts.identity import Role
from accounts.tokens import ApiToken
from web.account_changes import MAY, account_address, change, changed, password_field, role_select, say_beside
from web.asking import Act, ask
from web.frame import NotFound, Visit, card, frame
from web.refusals import REFUSALS, refused, sentence
from web.rendering import html
from web.token_list import TokenList, read_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    account: Account
    tokens: Sequence[ApiToken]


async def build(visit: Visit) -> None:
    """Show the page.

    Raises:
        NotAllowed: who looks is no superuser.
        NotFound: there is no such account.
    """
    visit.person.require("administer")
    seen = await asyncio.to_thread(_read, visit, visit.named("name"))
    with frame(visit, seen.account.name):
        _Account(visit, seen)


def _read(visit: Visit, name: str) -> _Seen:
    visit.permitted("administer")
    try:
        account = visit.parts.desk.directory.get(name)
    except NoSuchAccount as error:
        raise NotFound(sentence(error)) from error
    return _Seen(account=account, tokens=read_tokens(visit, account.name))


class _Account:
    """The page's content; every step says what it will do, asks once more, and is for the account as it is shown."""

    def __init__(self, visit: Visit, seen: _Seen) -> None:
        self._visit = visit
        self._account = seen.account
        self._name = seen.account.name
        self._directory = visit.parts.desk.directory
        self._version = seen.account.version
        with ui.element("div").classes("us-head"):
            html("account_head.html", account=seen.account).classes("grow")
            with ui.element("div").classes("us-row"):
                self._buttons()
        with ui.element("div").classes("us-columns"):
            with card("API tokens"):
                TokenList(visit, self._name, seen.tokens)
            with card("Role"):
                self._roles()

    def _buttons(self) -> None:
        ui.button("Set a password", on_click=self._ask_for_password).props("outline")
        if self._visit.parts.company:
            ui.button("Identity provider only", on_click=self._ask_to_invite).props("outline")
        ui.button("End sessions", on_click=self._ask_to_end_sessions).props("outline")
        if self._account.is_active:
            ui.button("Close", on_click=self._ask_to_close).props("color=negative")
        else:
            ui.button("Open", on_click=self._ask_to_open).props("color=positive")

    def _roles(self) -> None:
        field = role_select(self._account.role)
        with ui.element("div"):
            change_it = ui.button("Change role", on_click=lambda: self._ask_to_change_role(field.value))
        change_it.set_enabled(False)
        field.on_value_change(lambda: change_it.set_enabled(field.value != self._account.role))

    def _ask_to_change_role(self, role: Role) -> None:
        def act() -> str:
            account = self._directory.change(self._name, role=role, expected_version=self._version)
            return _stands(account)

        does = f"{self._name} {MAY[role]}. Pages that they have open are made anew, and API tokens follow at once."
        ask(f"Make {self._name} {role}?", does, self._act(act), label="Change role")

    def _ask_to_close(self) -> None:
        def act() -> str:
            account = self._directory.change(self._name, is_active=False, expected_version=self._version)
            return _stands(account)

        does = "They cannot sign in any more, their sessions end and their API tokens open nothing, until it is opened."
        ask(f"Close the account of {self._name}?", does, self._act(act), label="Close", color="negative")

    def _ask_to_open(self) -> None:
        def act() -> str:
            account = self._directory.change(self._name, is_active=True, expected_version=self._version)
            return _stands(account)

        does = "They can sign in again, as they could before, and their API tokens open again what they did."
        ask(f"Open the account of {self._name}?", does, self._act(act), label="Open", color="positive")

    def _ask_to_end_sessions(self) -> None:
        def act() -> str:
            self._directory.end_sessions(self._name, expected_version=self._version)
            return f"sessions of {self._name} ended"

        does = "Every browser in which they are signed in asks for their sign-in again. API tokens live on."
        ask(f"End all sessions of {self._name}?", does, self._act(act), label="End sessions")

    def _ask_to_invite(self) -> None:
        def act() -> str:
            self._directory.invite(self._name, expected_version=self._version)
            return f"account {self._name} waits for the identity provider"

        does = (
            "Its password, its link to somebody there and its sessions are gone. The first who signs in by "
            f"{self._visit.parts.company_label} under this name opens it, and has it from then on."
        )
        ask(f"Let the identity provider alone open {self._name}?", does, self._act(act), label="Identity provider only")

    def _ask_for_password(self) -> None:
        fields: list[ui.input] = []

        async def take() -> str | None:
            def act() -> str:
                self._directory.set_password(self._name, fields[0].value or "", expected_version=self._version)
                return f"password of {self._name} set"

            try:
                await change(self._visit, "administer", act)
            except REFUSALS as error:
                say_beside(fields[0], refused(error, by=self._visit.person.name))
                return None
            ui.navigate.to(account_address(self._name))
            return ""

        does = "All their sessions end. Tell them the new password in a way that nobody else hears."
        ask(
            f"Set a password for {self._name}?",
            does,
            take,
            label="Set a password",
            body=lambda: fields.append(password_field("New password")),
        )

    def _act(self, act: Callable[[], str]) -> Act:
        return lambda: changed(self._visit, "administer", act, then=account_address(self._name))


def _stands(account: Account) -> str:
    return f"account {account.name} is {account.role}, {'open' if account.is_active else 'closed'}"
