"""The settings page: dates, conditions, variants; what they would mean; and the proposal of a new settings group.

What is typed is kept in the browser until it is proposed, so a reload loses nothing. The proposal says which version of
the test it was made on: where somebody else was faster, their change is shown, and nothing is overwritten.
"""

import asyncio
import json
from typing import Any, Final

from nicegui import ui

from domain.errors import NothingChanges
from events.errors import VersionConflict
from web.condition_builder import ConditionBuilder
from web.frame import Visit, card, frame, note
from web.live_numbers import NOBODY_COUNTS, Edit, LiveNumbers
from web.preview_panel import PreviewPanel
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.seen_test import SeenTest, address_of, changes_after, head_of, read_test, request_of, watch
from web.settings_form import Checked, check, form_of, from_text, proposal_document, to_text
from web.variants_form import VariantsForm

_KEEP_AFTER_SECONDS: Final = 0.3
_FINAL: Final = ("finished", "rejected")


async def build(visit: Visit) -> None:
    """Show the settings of a test, to be edited by who may."""
    test = await asyncio.to_thread(read_test, visit, visit.key)
    with frame(visit, f"Settings of {test.listed.name}"):
        head_of(test, "/settings")
        if not test.may_steer or test.listed.status in _FINAL:
            _why_not(test)
            return
        SettingsPage(visit, test)


def _why_not(test: SeenTest) -> None:
    if test.listed.status in _FINAL:
        note("The test is over: its settings stay as its result was measured with. Create a new test for other ones.")
    else:
        note(f"Only its managers change the settings: ask {', '.join(test.listed.managers)}.")


class SettingsPage:
    """The form, with live numbers beside its conditions and a preview before the proposal."""

    def __init__(self, visit: Visit, test: SeenTest) -> None:
        self._visit = visit
        self._test = test
        self._seen_position = test.entries[-1].position
        self._form = form_of(test.proposal or test.settings, visit.parts.now())
        self._original = to_text(self._form)
        self._news = ui.element("div").classes("us-stack us-news").props("aria-live=polite")
        with self._news:
            self._say_which()
        with ui.element("div").classes("us-settings"):
            self._top = ui.element("div").classes("us-stack top")
            with ui.element("div").classes("us-stack us-sticky live"):
                self._live = self._numbers()
            with ui.element("div").classes("us-stack rest"):
                self._middle = ui.element("div").classes("us-stack")
                self._preview = self._preview_card()
                self._foot = ui.element("div").classes("us-stack")
        self._draw()
        self._keeping = ui.timer(_KEEP_AFTER_SECONDS, self._keep, active=False, once=False, immediate=False)
        ui.timer(0, self._restore, once=True)
        watch(visit, test.key, test.listed.version, self._changed)

    def _say_which(self) -> None:
        settings = self._test.settings
        if settings.pending_group is None:
            return
        which = f"This is settings group {settings.pending_group}, which"
        stays = f"; group {settings.settings_group} stays in force" if settings.settings_group else ""
        if settings.pending_state == "failed":
            note(f"{which} could not be prepared{stays}: {settings.pending_reason}", "red")
        else:
            note(f"{which} is being prepared{stays} until then. What you propose takes its place.", "amber")

    # --- the form ---------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        form = self._form
        for place in (self._top, self._middle, self._foot):
            place.clear()
        with self._top:
            with card("Dates"), ui.element("div").classes("us-row top"):
                self._starts_at = self._moment("First moment (UTC)", form.starts_at, "starts_at")
                self._ends_at = self._moment("End (UTC), excluded", form.ends_at, "ends_at")
            with card("Who takes part"):
                self._builder = ConditionBuilder(form.conditions, self._visit.parts.catalog, self._new_conditions)
                self._conditions_problem = ui.label().classes("us-error").props("role=alert")
        with self._middle, card("Variants"):
            self._variants = VariantsForm(form, self._edited)
        with self._foot, card():
            ui.checkbox(
                "Draw all split groups anew: every user may change variant",
                value=form.reshuffle,
                on_change=lambda event: self._set(reshuffle=bool(event.value)),
            )
            with ui.element("div").classes("us-row"):
                self._propose_button = ui.button("Propose these settings", on_click=self._propose)
                ui.button("Forget my changes", on_click=self._forget).props("flat")
            self._problem = ui.label().classes("us-error").props("role=alert")
        self._look_through()

    def _moment(self, label: str, value: str, name: str) -> ui.input:
        field = ui.input(label, value=value, on_change=lambda event: self._set(**{name: event.value or ""}))
        # Its own validation would take back what `check` says of it, right after every change.
        return (
            field.without_auto_validation()
            .props("type=datetime-local step=any outlined dense stack-label")
            .classes("grow")
        )

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self._form, name, value)
        self._edited()

    def _new_conditions(self, document: list[Any]) -> None:
        self._form.conditions = document
        self._edited()

    def _edited(self) -> None:
        self._look_through()
        self._keeping.activate()

    def _look_through(self) -> None:
        checked = check(self._form, self._visit.parts.catalog)
        problems = checked.problems
        self._starts_at.error = problems.get("starts_at")
        self._ends_at.error = problems.get("ends_at")
        wrong = problems.get("conditions", "")
        is_shown = self._builder.show_problem(checked.conditions_path, wrong)
        self._conditions_problem.text = "" if is_shown else wrong
        self._variants.show_problems(problems, checked.of_variants)
        can_be_proposed = checked.proposal is not None and self._builder.is_understood
        self._propose_button.set_enabled(can_be_proposed)
        if self._live is not None:
            self._live.edited(self._edit(checked))
        if self._preview is not None:
            self._preview.edited(can_be_proposed=can_be_proposed)

    def _edit(self, checked: Checked) -> Edit | None:
        if checked.conditions is None:
            return None
        proposal = checked.proposal
        return Edit(
            conditions=self._form.conditions,
            starts_at=proposal.starts_at if proposal else None,
            ends_at=proposal.ends_at if proposal else None,
            groups=sum(variant.groups for variant in proposal.variants) if proposal else None,
        )

    # --- kept in the browser ----------------------------------------------------------------------------------------

    @property
    def _place(self) -> str:
        return json.dumps(f"usersplit.settings.{self._visit.person.name}.{self._test.key}")

    def _keep(self) -> None:
        self._keeping.deactivate()
        text = to_text(self._form)
        if text == self._original:
            ui.run_javascript(f"localStorage.removeItem({self._place})")
        else:
            ui.run_javascript(f"localStorage.setItem({self._place}, {json.dumps(text)})")

    async def _restore(self) -> None:
        try:
            kept = await ui.run_javascript(f"return localStorage.getItem({self._place})", timeout=10.0)
        except TimeoutError:
            return  # the person went on to another page before the browser could answer
        form = from_text(kept) if isinstance(kept, str) else None
        if form is None or to_text(form) == self._original:
            return
        self._form = form
        self._draw()
        with self._news:
            note("These are your unfinished changes. “Forget my changes” goes back to what is in force.")

    def _forget(self) -> None:
        ui.run_javascript(f"localStorage.removeItem({self._place})")
        ui.navigate.to(address_of(self._test.key, "/settings"))

    # --- others -----------------------------------------------------------------------------------------------------

    async def _changed(self, newer: SeenTest) -> None:
        if self._is_decided(newer):
            self._show_their_changes(newer)
        else:
            self._on_top(newer)
            with self._news:
                self._say_which()

    def _is_decided(self, newer: SeenTest) -> bool:
        """Answer whether a person changed what this one has not seen: what was only found out overwrites nothing."""
        return any(entry.is_decided for entry in changes_after(newer, self._seen_position))

    def _show_their_changes(self, newer: SeenTest) -> None:
        self._news.clear()
        with self._news, ui.element("div").classes("us-note amber us-tight"):
            ui.label("Somebody changed the test while you were editing. Your edits are still here:").style(
                "font-weight: 600"
            )
            html("their_changes.html", entries=changes_after(newer, self._seen_position))
            with ui.element("div").classes("us-row"):
                ui.button("Keep mine, on top of theirs", on_click=lambda: self._on_top(newer)).props("dense")
                ui.button("Take theirs, forget mine", on_click=self._forget).props("flat dense")

    def _on_top(self, newer: SeenTest) -> None:
        self._test = newer
        self._seen_position = newer.entries[-1].position
        self._problem.text = ""
        self._news.clear()

    # --- proposing --------------------------------------------------------------------------------------------------

    async def _propose(self) -> None:
        self._problem.text = ""
        self._propose_button.disable()
        key = self._test.key
        try:
            await self._propose_on_top()
        except VersionConflict:
            self._problem.text = "Somebody changed the test in the meantime. Look at the change above, then decide."
            self._show_their_changes(await asyncio.to_thread(read_test, self._visit, key))
        except NothingChanges:
            self._problem.text = "These are the settings in force already. Change something first."
        except REFUSALS as error:
            self._problem.text = refused(error, by=self._visit.person.name)
        else:
            ui.run_javascript(f"localStorage.removeItem({self._place})")
            ui.navigate.to(address_of(key))
            return
        self._propose_button.enable()

    async def _propose_on_top(self) -> None:
        """Propose on top of what this person has seen, and of what was only found out since.

        Raises:
            VersionConflict: somebody changed the test meanwhile.
            RuleBroken: the settings are refused, see `commands.split_tests`.
        """
        propose, key = self._visit.parts.split_tests.propose_settings, self._test.key
        while True:
            seen = self._test.listed.version
            try:
                await asyncio.to_thread(propose, request_of(self._visit, seen), key, proposal_document(self._form))
            except VersionConflict:
                newer = await asyncio.to_thread(read_test, self._visit, key)
                if newer.listed.version == seen or self._is_decided(newer):
                    raise
                self._on_top(newer)
            else:
                return

    # --- what it would mean -----------------------------------------------------------------------------------------

    def _numbers(self) -> LiveNumbers | None:
        if self._visit.parts.audience is None:
            with card("Users"):
                note(NOBODY_COUNTS)
            return None
        with card("Users, as you edit"):
            return LiveNumbers(self._visit, key=self._test.key, type_=self._test.listed.type)

    def _preview_card(self) -> PreviewPanel | None:
        if self._visit.parts.audience is None:
            return None
        with card("What it would become: estimate, overlaps, moves"):
            return PreviewPanel(self._visit, self._test, lambda: self._form)
