"""The page of a test: what it is, who manages it, what is in force, and what happened last."""

import asyncio

from nicegui import ui

from domain.errors import NothingChanges
from web.conditions_shown import readable_conditions
from web.frame import Visit, card, frame, note
from web.properties_form import PropertiesForm
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.seen_test import SeenTest, address_of, head_of, newest_changes, read_test, request_of, watch
from web.step_dialogs import step_buttons


async def build(visit: Visit) -> None:
    """Show the overview of a test."""
    test = await asyncio.to_thread(read_test, visit, visit.key)
    with frame(visit, test.listed.name):
        with head_of(test, ""):
            step_buttons(visit, test)
        news = ui.element("div").classes("us-stack").style("margin-bottom: 16px")
        _pending(test)
        with ui.element("div").classes("us-columns"):
            with ui.element("div").classes("us-stack"):
                _settings(visit, test)
                _changes(test)
            with ui.element("div").classes("us-stack"):
                _properties(visit, test)
                _managers(visit, test)

    async def changed(newer: SeenTest) -> None:
        news.clear()
        with news:
            last = newer.entries[-1]
            note(f"{last.actor}: {last.sentence}", "blue")
            ui.link("Show the page as it is now", address_of(newer.key))

    watch(visit, test.key, test.listed.version, changed)


def _pending(test: SeenTest) -> None:
    settings = test.settings
    if settings.pending_group is None:
        return
    with ui.element("div").style("margin-bottom: 16px"):
        if settings.pending_state == "failed":
            note(f"Settings group {settings.pending_group} could not be prepared: {settings.pending_reason}", "red")
        else:
            note(
                f"Settings group {settings.pending_group} is being prepared; the one in force stays until then.",
                "amber",
            )


def _settings(visit: Visit, test: SeenTest) -> None:
    settings = test.settings
    with card("What is in force"):
        if not settings.settings_group:
            advice = "Give it dates, conditions and variants on the page “Settings”."
            html(
                "empty.html", title="No settings yet", advice=advice if test.may_steer else "Its managers propose them."
            )
            return
        html(
            "settings.html",
            settings=settings,
            conditions=readable_conditions(settings.conditions, visit.parts.catalog),
            total=sum(variant.groups for variant in settings.variants),
            counted=any(variant.users is not None for variant in settings.variants),
        )


def _changes(test: SeenTest) -> None:
    with card("What happened last"):
        html("changes.html", entries=newest_changes(test), more=address_of(test.key, "/changelog"))


def _properties(visit: Visit, test: SeenTest) -> None:
    with card("Properties") as place:
        html("properties.html", test=test.listed)
        if test.may_steer:
            with ui.element("div"):
                ui.button("Edit", icon="edit", on_click=lambda: _edit(visit, test, place)).props("flat dense")


def _edit(visit: Visit, test: SeenTest, place: ui.element) -> None:
    listed = test.listed
    before = {
        "name": listed.name,
        "type": listed.type,
        "issue_key": listed.issue_key,
        "chat_room": listed.chat_room,
        "description": listed.description,
    }
    place.clear()
    with place:
        html("h2.html", title="Properties")
        form = PropertiesForm(before, is_new=False)

        async def save() -> None:
            try:
                await asyncio.to_thread(
                    visit.parts.split_tests.edit_properties,
                    request_of(visit, listed.version),
                    test.key,
                    form.values(),
                )
            except NothingChanges:
                pass
            except REFUSALS as error:
                form.show(error, refused(error, by=visit.person.name))
                return
            ui.navigate.to(address_of(test.key))

        with ui.element("div").classes("us-row"):
            ui.button("Save", on_click=save)
            ui.button("Cancel", on_click=lambda: ui.navigate.to(address_of(test.key))).props("flat")


def _managers(visit: Visit, test: SeenTest) -> None:
    listed = test.listed
    with card("Managers"):
        html("people.html", names=listed.managers, author=listed.author)
        if not test.may_steer:
            return
        problem = ui.label().classes("us-error").props("role=alert")

        async def change(*, add: list[str], remove: list[str]) -> None:
            try:
                await asyncio.to_thread(
                    visit.parts.split_tests.change_managers,
                    request_of(visit, listed.version),
                    test.key,
                    add=add,
                    remove=remove,
                )
            except REFUSALS as error:
                problem.text = refused(error, by=visit.person.name)
                return
            ui.navigate.to(address_of(test.key))

        with ui.element("div").classes("us-row"):
            name = ui.input("Add", placeholder="name").props("outlined dense").classes("grow")
            ui.button("Add", on_click=lambda: change(add=[name.value or ""], remove=[])).props("flat")
        if len(listed.managers) > 1:
            with ui.element("div").classes("us-row"):
                leaving = ui.select(list(listed.managers), label="Remove").props("outlined dense").classes("grow")
                ui.button("Remove", on_click=lambda: change(add=[], remove=[leaving.value or ""])).props("flat")
