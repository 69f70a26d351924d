"""API tokens as pages list them: what each is called, what it may, until when; and taking one back."""

import asyncio
from collections.abc import Sequence

from nicegui import ui

from accounts.identity import Permission
from accounts.tokens import ApiToken, said_of_use
from web.account_changes import change
from web.asking import ask
from web.frame import Visit
from web.refusals import REFUSALS, refused
from web.rendering import html


class TokenList:
    """The tokens of one account, each with its button; those that are over are folded away.

    Args:
        visit: whose page it is.
        owner: whose tokens they are; anybody else's are a superuser's to take back.
    """

    def __init__(self, visit: Visit, owner: str, tokens: Sequence[ApiToken]) -> None:
        self._visit = visit
        self._owner = owner
        self._place = ui.element("div").classes("us-tight")
        self._show(tokens)

    async def look(self) -> None:
        """Show them as they are now."""
        tokens = await asyncio.to_thread(read_tokens, self._visit, self._owner)
        self._show(tokens)

    def _show(self, tokens: Sequence[ApiToken]) -> None:
        now = self._visit.parts.now()
        valid = [token for token in tokens if not token.is_over(now)]
        over = [token for token in tokens if token.is_over(now)]
        self._place.clear()
        with self._place:
            if not valid:
                advice = "Programs send one in a person's place."
                html("empty.html", title="No API tokens", advice=advice).classes("us-empty small")
            for token in valid:
                with ui.element("div").classes("us-row between us-line"):
                    html("token.html", token=token, used=said_of_use(token)).classes("grow")
                    revoke = ui.button("Revoke", on_click=lambda _, each=token: self._ask(each))
                    revoke.props("flat dense")
                    revoke.props["aria-label"] = f"Revoke {token.label}"
            if over:
                html("tokens_over.html", tokens=over)

    def _ask(self, token: ApiToken) -> None:
        async def take() -> str:
            try:
                await change(self._visit, self._needs, lambda: self._revoke(token))
            except REFUSALS as error:
                return refused(error, by=self._visit.person.name)
            await self.look()
            return ""

        does = "Whatever sends it is refused from then on, within seconds. It cannot be taken back; make another one."
        ask(f"Revoke “{token.label}”?", does, take, label="Revoke", color="negative")

    @property
    def _needs(self) -> Permission:
        return "evaluate" if self._owner == self._visit.person.name else "administer"

    def _revoke(self, token: ApiToken) -> str:
        self._visit.parts.desk.tokens.revoke(token.token_id, account=self._owner)
        return f"token {token.token_id} revoked"


def read_tokens(visit: Visit, owner: str) -> list[ApiToken]:
    """Return the tokens of an account, the newest first. It waits for the database.

    Raises:
        NotSignedIn, NotAllowed: see `Visit.permitted`; others' tokens are for superusers.
    """
    person = visit.present()
    if owner != person.name:
        person.require("administer")
    return visit.parts.desk.tokens.of(owner)
