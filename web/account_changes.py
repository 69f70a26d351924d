"""What pages change of accounts and tokens: as who looks at that very moment, with a line in the audit log each."""

import asyncio
from collections.abc import Callable
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from nicegui import ui

from accounts.audit import note_change
from accounts.identity import Permission, Role
from accounts.passwords import LEAST_LENGTH, MOST_LENGTH
from web.frame import Visit
from web.refusals import REFUSALS, refused

MAY: Final = MappingProxyType[Role, str](
    {
        "viewer": "sees tests, changelogs and who gets what",
        "qa": "forces variants as well",
        "developer": "creates Drafts as well",
        "manager": "edits and steers the tests they manage as well",
        "superuser": "does everything: all tests, projections, accounts",
    }
)
"""What each role may, each more than the one before."""


async def change(visit: Visit, permission: Permission, act: Callable[[], str]) -> None:
    """Let who looks do something, in a thread; `act` returns what the audit log is told of it.

    Raises:
        NotSignedIn, NotAllowed: see `Visit.permitted`; and what `act` is refused with.
    """

    def take() -> None:
        person = visit.permitted(permission)
        note_change(act(), who=person.name, address=visit.came_from)

    await asyncio.to_thread(take)


async def changed(visit: Visit, permission: Permission, act: Callable[[], str], *, then: str) -> str:
    """Do as `change` and go on to the address `then`; return why it was refused, an empty text if it was done."""
    try:
        await change(visit, permission, act)
    except REFUSALS as error:
        return refused(error, by=visit.person.name)
    ui.navigate.to(then)
    return ""


def account_address(name: str) -> str:
    """Return the address of an account's page."""
    return f"/accounts/{quote(name)}"


def role_select(role: Role) -> ui.select:
    """Return the field in which a role is chosen, with what each may."""
    field = ui.select({each: f"{each}: {may}" for each, may in MAY.items()}, label="Role", value=role)
    field.props("outlined dense").style("width: 100%")
    may = ui.label().classes("us-muted us-small")

    def tell() -> None:
        chosen: Role = field.value
        field.props["display-value"] = chosen
        may.text = f"{chosen.title()}: {MAY[chosen]}."

    field.on_value_change(tell)
    tell()
    return field


def password_field(label: str) -> ui.input:
    """Return the field of a new password. It can be shown while it is typed, for nobody can look it up afterwards."""
    field = ui.input(label, password=True)
    hint = f"{LEAST_LENGTH} to {MOST_LENGTH} characters; a sentence rather than a word"
    field.props(f'outlined dense autocomplete=new-password hint="{hint}"').style("width: 100%")
    show = ui.checkbox("Show it", on_change=lambda event: field.props(f"type={'text' if event.value else 'password'}"))
    show.props("dense")
    return field


def say_beside(field: ui.input, said: str) -> None:
    """Say beside a field what is wrong with it, until it is typed into."""
    field.error = said
    field.run_method("focus")
