"""The form that makes an API token of one's own; its text is shown once."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from nicegui import ui

from accounts.errors import WrongToken
from accounts.identity import PERMISSIONS, Permission
from web.account_changes import change, say_beside
from web.asking import button
from web.frame import Visit
from web.refusals import REFUSALS, refused
from web.rendering import html

_NEVER: Final = 0
_ENDS: Final = MappingProxyType({30: "in 30 days", 90: "in 90 days", 365: "in a year", _NEVER: "never"})
_DOES: Final = MappingProxyType[Permission, str](
    {
        "read": "read: tests, changelogs, who gets what, config documents. For services",
        "evaluate": "evaluate: evaluations and nothing else. For browsers and apps, where a token is no secret",
        "override": "override: force variants and switch tests off for units. For autotests",
        "create": "create: make Drafts",
        "steer": "steer: edit and steer the tests you manage",
        "operate": "operate: pause, resume and rebuild projections",
        "administer": "administer: accounts, and the tokens of others",
    }
)
"""What each scope lets a token do."""


class NewToken:
    """The form, and the new token below it until the page is left.

    Args:
        visit: whose page it is.
        made: is told when there is a new one.
    """

    def __init__(self, visit: Visit, made: Callable[[], Awaitable[None]]) -> None:
        self._visit = visit
        self._made = made
        self._label = ui.input("What it is for", placeholder="autotests of the shop")
        self._label.props("outlined dense autocomplete=off").style("width: 100%")
        with ui.element("div").props('role=group aria-label="What it may"').classes("us-tight"):
            html("h3.html", title="What it may, at most")
            offered = [each for each in PERMISSIONS if visit.person.may(each)]
            self._scopes = {each: ui.checkbox(_DOES[each]).props("dense") for each in offered}
        self._wrong_scopes = ui.label().classes("us-error").props("role=alert")
        self._ends = ui.select(dict(_ENDS), label="It ends", value=90).props("outlined dense").style("width: 220px")
        problem = ui.label().classes("us-error").props("role=alert")
        with ui.element("div"):
            button("Make a token", self._make, problem)
        self._shown = ui.element("div").props("role=status")

    async def _make(self) -> str | None:
        self._wrong_scopes.text = ""
        self._shown.clear()
        texts: list[str] = []
        days = int(self._ends.value or _NEVER)
        scopes = [each for each, box in self._scopes.items() if box.value]

        def act() -> str:
            ends = None if days == _NEVER else self._visit.parts.now() + timedelta(days=days)
            tokens = self._visit.parts.desk.tokens
            name = self._visit.person.name
            token, text = tokens.create(name, label=self._label.value or "", scopes=scopes, expires_at=ends)
            texts.append(text)
            return f"token {token.token_id} made with the scopes {' '.join(token.scopes)}"

        try:
            await change(self._visit, "evaluate", act)
        except WrongToken as error:
            said = refused(error, by=self._visit.person.name)
            match error.about:
                case "label":
                    say_beside(self._label, said)
                case "scopes":
                    self._wrong_scopes.text = said
                case _:
                    return said
            return None
        except REFUSALS as error:
            return refused(error, by=self._visit.person.name)
        self._label.value = ""
        with self._shown:
            html("new_token.html", text=texts[0]).classes("us-note green")
        await self._made()
        return None
