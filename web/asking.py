"""Before something is done: what it will do, and a second click. And buttons that are pressed once, however often."""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from nicegui import ui

from projections.errors import OUTAGES
from web.rendering import html

Act: TypeAlias = Callable[[], Awaitable[str | None]]
"""Does something, and returns why it was refused; an empty text where it was done.

None: it was refused, and what is wrong stands beside its field.
"""


_AWAY: Final = "The database does not answer. Look whether it was done, and try again in a moment."
_BROKEN: Final = "Something went wrong here, and was logged. Look whether it was done."

_log = logging.getLogger(__name__)


def ask(
    title: str, does: str, act: Act, *, label: str, color: str = "primary", body: Callable[[], object] | None = None
) -> None:
    """Show a dialog that says what will be done, and do it when it is said again.

    Args:
        title: a question.
        does: what will be done, in a sentence for the person who is about to do it.
        act: does it.
        label: of the button, the word that the person has just clicked.
        color: of the button.
        body: makes what else stands in the dialog.
    """
    if any(isinstance(each, ui.dialog) and each.value for each in ui.context.client.elements.values()):
        return  # the second click of a double click, which came before the first one's dialog did
    # In the page itself, not where the button is: a page that is drawn anew takes no question away that is being read.
    page = ui.context.client.content
    with page, ui.dialog().props(f'aria-label="{label}"') as dialog, ui.card().classes("us-dialog"):
        html("h2.html", title=title)
        ui.label(does)
        if body is not None:
            body()
        problem = ui.label().classes("us-error").props("role=alert")
        with ui.element("div").classes("us-row").style("justify-content: flex-end"):
            ui.button("Cancel", on_click=dialog.close).props("flat")
            go = ui.button(label).props(f"color={color}")

    async def take() -> None:
        if await _is_done(go, act, problem):
            dialog.close()

    go.on_click(take)
    dialog.on("hide", dialog.delete)
    dialog.open()


def button(label: str, act: Act, problem: ui.label, *, icon: str | None = None) -> ui.button:
    """Return a button that does something at once, and once at a time; `problem` says why it was refused.

    Where it was done, the button stays shut: the page goes on to another one, or is drawn anew.
    """
    made = ui.button(label, icon=icon)

    async def take() -> None:
        await _is_done(made, act, problem)

    made.on_click(take)
    return made


async def _is_done(pressed: ui.button, act: Act, problem: ui.label) -> bool:
    """Do it, and return whether it was done. If not, `problem` says why, whatever it is, and the button opens again."""
    pressed.disable()  # a second click that is on its way is not heard any more
    said: str | None = _BROKEN
    try:
        said = await act()
    except OUTAGES as error:
        _log.error("a command of a page was not done: %s", error)
        said = _AWAY
    finally:
        problem.text = said or ""
        if said != "":
            pressed.enable()
    return said == ""
