"""Accounts, for superusers: who can sign in, as what; and the form that makes a new one."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nicegui import ui

from accounts.directory import Account
from accounts.errors import AccountExists, WeakPassword, WrongAccountName
from web.account_changes import account_address, change, password_field, role_select, say_beside
from web.asking import button
from web.frame import Visit, card, empty, frame, head
from web.refusals import REFUSALS, refused
from web.rendering import html

_MOST_SHOWN: Final = 200
_TYPING_MILLISECONDS: Final = 200
_BY_PASSWORD: Final = "A password, which I set now"  # noqa: S105 - the name of a way to sign in
_BY_COMPANY: Final = "The company's identity provider alone: the first who has its name there opens it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An account in the list, and how many API tokens speak for it."""

    account: Account
    tokens: int


async def build(visit: Visit) -> None:
    """Show all accounts.

    Raises:
        NotAllowed: who looks is no superuser.
    """
    visit.person.require("administer")
    lines = await asyncio.to_thread(_read, visit)
    with frame(visit, "Accounts"):
        with head("Accounts", sub="Who signs in, and what each may. A closed account keeps its name in changelogs."):
            ui.button("New account", icon="add", on_click=lambda: ui.navigate.to("/new-account"))
        with card():
            search = ui.input("Search", placeholder="name or role", on_change=lambda event: show(event.value or ""))
            search.props(f"outlined dense clearable debounce={_TYPING_MILLISECONDS}").style("width: 100%")
            said = ui.label().classes("us-muted us-small").props("role=status")
            place = ui.element("div").classes("us-scroll")

        def show(text: str) -> None:
            found = matching(lines, text)
            said.text = f"{len(found):,} of {len(lines):,}" + (
                f", the first {_MOST_SHOWN} of them shown: search for a name" if len(found) > _MOST_SHOWN else ""
            )
            place.clear()
            with place:
                if found:
                    html("accounts.html", lines=found[:_MOST_SHOWN], address_of=account_address)
                else:
                    empty("Nobody is called so", "Search for another part of the name, or for a role.")

        show("")


def matching(lines: Sequence[Line], text: str) -> list[Line]:
    """Return the lines with a text in their name or role, in any case."""
    wanted = text.strip().lower()
    return [line for line in lines if wanted in line.account.name or wanted in line.account.role]


def _read(visit: Visit) -> list[Line]:
    visit.permitted("administer")
    now = visit.parts.now()
    tokens = Counter(token.account for token in visit.parts.desk.tokens.of(None) if not token.is_over(now))
    return [Line(account=each, tokens=tokens[each.name]) for each in visit.parts.desk.directory.all()]


async def build_new(visit: Visit) -> None:
    """Show the form of a new account.

    Raises:
        NotAllowed: who looks is no superuser.
    """
    visit.person.require("administer")
    with frame(visit, "New account"):
        head("New account", sub="Somebody who can sign in. Changelogs call them by this name, for good.")
        with card().style("max-width: 640px"):
            _NewAccount(visit)


class _NewAccount:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._name = ui.input("Name", placeholder="ann or ann@example.com")
        self._name.props('outlined dense autocomplete=off hint="Kept in lower case"').style("width: 100%")
        self._role = role_select("viewer")
        self._way = ui.radio([_BY_PASSWORD, _BY_COMPANY], value=_BY_PASSWORD, on_change=self._choose)
        self._way.props('aria-label="What opens it"').set_visibility(bool(visit.parts.company))
        with ui.element("div") as self._typed:
            self._password = password_field("Password")
        problem = ui.label().classes("us-error").props("role=alert")
        with ui.element("div").classes("us-row"):
            button("Make the account", self._create, problem)
            ui.button("Cancel", on_click=lambda: ui.navigate.to("/accounts")).props("flat")

    def _choose(self) -> None:
        self._typed.set_visibility(self._way.value == _BY_PASSWORD)

    async def _create(self) -> str | None:
        made: list[Account] = []
        name, role = self._name.value or "", str(self._role.value)
        password = (self._password.value or "") if self._way.value == _BY_PASSWORD else None

        def act() -> str:
            account = self._visit.parts.desk.directory.create(name, role, password=password)
            made.append(account)
            return f"account {account.name} made as {account.role}"

        try:
            await change(self._visit, "administer", act)
        except REFUSALS as error:
            said = refused(error, by=self._visit.person.name)
            match error:
                case WrongAccountName() | AccountExists():
                    say_beside(self._name, said)
                case WeakPassword():
                    say_beside(self._password, said)
                case _:
                    return said
            return None
        ui.navigate.to(account_address(made[0].name))
        return ""
