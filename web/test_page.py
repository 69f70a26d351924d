"""The page of a test: what it is, who manages it, what is in force, and what happened last; it follows what changes."""

import asyncio
from collections.abc import Sequence
from typing import Final

from nicegui import ui

from domain.errors import NothingChanges
from projections import preparation_steps, readable
from projections.preparation_steps import PreparationProgress
from web.asking import button
from web.conditions_shown import readable_conditions
from web.frame import Visit, card, frame, note
from web.preview_panel import NEXT_STEP
from web.properties_form import PropertiesForm
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.seen_test import SeenTest, address_of, head_of, newest_changes, read_test, request_of, watch
from web.step_dialogs import step_buttons

_STEP_EVERY_SECONDS: Final = 0.5


async def build(visit: Visit) -> None:
    """Show the overview of a test."""
    test = await asyncio.to_thread(read_test, visit, visit.key)
    with frame(visit, test.listed.name):
        _Overview(visit, test)


class _Overview:
    """The page's content, drawn anew whenever somebody changes the test, unless its reader is typing into it."""

    def __init__(self, visit: Visit, test: SeenTest) -> None:
        self._visit = visit
        self._test = test
        self._is_editing = False
        self._news = ui.element("div").classes("us-stack").props("aria-live=polite")
        self._place = ui.element("div")
        self._draw()
        watch(visit, test.key, test.listed.version, self._changed)

    async def _changed(self, newer: SeenTest) -> None:
        last = newer.entries[-1]
        self._news.clear()
        with self._news:
            note(f"{last.actor}: {last.sentence}", "blue").style("margin-bottom: 16px")
            if self._is_editing:
                ui.link("Show the page as it is now, without what you are typing", address_of(newer.key))
        if not self._is_editing:
            self._test = newer
            self._draw()

    def _draw(self) -> None:
        self._place.clear()
        test = self._test
        with self._place:
            with head_of(test, ""):
                step_buttons(self._visit, test)
            self._pending()
            with ui.element("div").classes("us-columns"):
                with ui.element("div").classes("us-stack"):
                    self._settings()
                    with card("What happened last"):
                        more = address_of(test.key, "/changelog")
                        html("changes.html", entries=newest_changes(test), more=more)
                with ui.element("div").classes("us-stack"):
                    self._properties()
                    self._managers()

    def _pending(self) -> None:
        test, settings = self._test, self._test.settings
        if settings.pending_group is None:
            return
        with ui.element("div").classes("us-tight").style("margin-bottom: 16px"):
            if settings.pending_state == "proposed":
                note(f"Settings group {settings.pending_group} is being prepared. What is in force stays until then.")
                self._progress(settings.pending_group)
                return
            note(f"Settings group {settings.pending_group} could not be prepared: {settings.pending_reason}", "red")
            if test.may_steer:
                problem = ui.label().classes("us-error").props("role=alert")
                button("Try again", self._retry, problem).props("flat")

    def _progress(self, settings_group: int) -> None:
        bar = ui.linear_progress(value=0.0, show_value=False).props('rounded stripe aria-label="Preparation"')
        said = ui.label(NEXT_STEP["waiting"]).classes("us-muted us-small").props("role=status")

        async def look() -> None:
            step = await asyncio.to_thread(self._step)
            if step is not None and step.settings_group == settings_group:
                bar.value = step.share_done
                said.text = " ".join(filter(None, [f"{step.detail}." if step.detail else "", NEXT_STEP.get(step.step)]))

        ui.timer(_STEP_EVERY_SECONDS, look)

    def _step(self) -> PreparationProgress | None:
        with self._visit.reading() as connection:
            return preparation_steps.of(connection, self._test.key)

    async def _retry(self) -> str:
        try:
            request = request_of(self._visit, self._test.listed.version)
            await asyncio.to_thread(self._visit.parts.split_tests.retry_preparation, request, self._test.key)
        except REFUSALS as error:
            return refused(error, by=self._visit.person.name)
        return ""

    def _settings(self) -> None:
        settings = self._test.settings
        with card("What is in force"):
            if not settings.settings_group:
                advice = "Give it dates, conditions and variants on the page “Settings”."
                mine = self._test.may_steer
                said = advice if mine else "Its managers propose them."
                html("empty.html", title="No settings yet", advice=said).classes("us-empty small")
                return
            html(
                "settings.html",
                settings=settings,
                conditions=readable_conditions(settings.conditions, self._visit.parts.catalog, settings.filters),
                total=sum(variant.groups for variant in settings.variants),
                effect=readable.smallest_effect,
                shares=readable.percents_shared,
                counted=any(variant.users is not None for variant in settings.variants),
            )

    def _properties(self) -> None:
        with card("Properties") as place:
            html("properties.html", test=self._test.listed)
            if self._test.may_steer:
                with ui.element("div"):
                    ui.button("Edit", icon="edit", on_click=lambda: self._edit(place)).props("flat dense")

    def _edit(self, place: ui.element) -> None:
        self._is_editing = True
        listed = self._test.listed
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
            with ui.element("div").classes("us-row"):
                save = ui.button("Save")
                save.on_click(lambda: self._save(form, save))
                ui.button("Cancel", on_click=lambda: ui.navigate.to(address_of(listed.key))).props("flat")

    async def _save(self, form: PropertiesForm, save: ui.button) -> None:
        save.disable()
        key, version = self._test.key, self._test.listed.version
        try:
            request = request_of(self._visit, version)
            await asyncio.to_thread(self._visit.parts.split_tests.edit_properties, request, key, form.values())
        except NothingChanges:
            pass
        except REFUSALS as error:
            form.show(error, refused(error, by=self._visit.person.name))
            save.enable()
            return
        ui.navigate.to(address_of(key))

    def _managers(self) -> None:
        listed = self._test.listed
        with card("Managers"):
            html("people.html", names=listed.managers, author=listed.author)
            if not self._test.may_steer:
                return
            problem = ui.label().classes("us-error").props("role=alert")
            with ui.element("div").classes("us-row"):
                name = ui.input("Add a manager", placeholder="name").props("outlined dense").classes("grow")
                button("Add", lambda: self._change_managers(add=[name.value or ""]), problem).props("flat")
            if len(listed.managers) > 1:
                with ui.element("div").classes("us-row"):
                    leaving = ui.select(list(listed.managers), label="Remove a manager").props("outlined dense")
                    leaving.classes("grow")
                    leave = button("Remove", lambda: self._change_managers(remove=[leaving.value or ""]), problem)
                    leave.props("flat")

    async def _change_managers(self, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> str:
        try:
            request = request_of(self._visit, self._test.listed.version)
            change = self._visit.parts.split_tests.change_managers
            await asyncio.to_thread(change, request, self._test.key, add=add, remove=remove)
        except REFUSALS as error:
            return refused(error, by=self._visit.person.name)
        ui.navigate.to(address_of(self._test.key))
        return ""
