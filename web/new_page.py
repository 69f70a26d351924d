"""A new test: its properties; its settings come next."""

import asyncio

from nicegui import ui
from starlette.responses import RedirectResponse, Response

from commands.split_tests import Request
from events.store import Appended
from web.frame import Visit, card, frame, head
from web.properties_form import PropertiesForm
from web.refusals import REFUSALS, refused
from web.seen_test import address_of


async def build(visit: Visit) -> Response | None:
    """Show the form; who may not create is led back to the list."""
    if not visit.person.may("create"):
        return RedirectResponse("/", status_code=303)
    with frame(visit, "New test"):
        head("New test", sub="It begins as a Draft, which only you, its managers and superusers see.")
        with card().style("max-width: 640px"):
            form = PropertiesForm({}, is_new=True)

            async def create() -> None:
                button.disable()
                try:
                    await asyncio.to_thread(_create, visit, form.values())
                except REFUSALS as error:
                    form.show(error, refused(error, by=visit.person.name))
                    button.enable()
                    return
                ui.navigate.to(address_of(form.values()["key"].strip(), "/settings"))

            with ui.element("div").classes("us-row"):
                button = ui.button("Create and go on to its settings", on_click=create)
                ui.button("Cancel", on_click=lambda: ui.navigate.to("/")).props("flat")
    return None


def _create(visit: Visit, values: dict[str, str]) -> Appended:
    managers = [name.strip() for name in values.pop("managers").split(",") if name.strip()]
    values["key"] = values["key"].strip()
    return visit.parts.split_tests.create(Request(actor=visit.acting("create")), managers=managers, **values)
