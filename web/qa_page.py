"""For QA: who gets what and why; force a unit into a variant; switch all tests off for one; and take it back."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from nicegui import ui

from commands.split_tests import Request
from domain.people import can_see
from projections import current_settings, overrides, test_list
from projections.overrides import DisabledUnit, ForcedVariant
from usersplit import Answer
from web.frame import Visit, card, frame, head, note
from web.moments import read_moment
from web.qa_checks import WrongProfile, answers, profile_of
from web.refusals import REFUSALS, refused, sentence
from web.rendering import html

ENVIRONMENTS: Final = ("devel", "production")
_NO_VARIANT: Final = "(no variant)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The variants of the tests that the person may see, by key; and all overrides of these tests."""

    variants: Mapping[str, Sequence[str]]
    forced: Sequence[ForcedVariant]
    disabled: Sequence[DisabledUnit]


async def build(visit: Visit) -> None:
    """Show the page."""
    seen = await asyncio.to_thread(_read, visit)
    with frame(visit, "QA"):
        head("QA", sub="Who gets which variant, and why. Overrides are real: in production, a person sees the variant.")
        _Qa(visit, seen)


def _read(visit: Visit) -> _Seen:
    with visit.reading() as connection:
        actor = visit.person.actor
        variants = current_settings.variants_of_open_tests(connection)
        found = {
            test.key: variants[test.key]
            for test in test_list.rows(connection)
            if test.key in variants and can_see(actor, test.status, test.author, test.managers)
        }
        forced = [each for each in overrides.forced(connection) if each.key in found]
        disabled = [
            replace(each, enabled=tuple(key for key in each.enabled if key in found))
            for each in overrides.disabled(connection)
        ]
    return _Seen(variants=found, forced=forced, disabled=disabled)


class _Qa:
    def __init__(self, visit: Visit, seen: _Seen) -> None:
        self._visit = visit
        self._seen = seen
        self._may = visit.person.may("override")
        with ui.element("div").classes("us-stack"):
            with ui.element("div").classes("us-halves"):
                with card("Who gets what, and why"):
                    self._check_form()
                with ui.element("div").classes("us-stack"):
                    if self._may:
                        with card("Force a variant"):
                            self._force_form()
                        with card("Switch all tests off for a unit"):
                            self._disable_form()
                    else:
                        with card("Force a variant"):
                            note("QA, developers and managers force variants. A superuser changes your role.")
            with card("Overrides in force"):
                self._list = ui.element("div").classes("us-tight")
        self._show_list()

    # --- checks -----------------------------------------------------------------------------------------------------

    def _check_form(self) -> None:
        unit, unit_id, _ = _unit_fields(environment=False)
        group = ui.input("Split group, 1 to 2400").props("outlined dense inputmode=numeric")
        profile = ui.textarea("Profile, one a line", placeholder="country_id=50\nis_new_user=1").props(
            "outlined dense autogrow input-class=mono"
        )
        came = ui.textarea("How they came, one a line", placeholder="platform=web\ncountry=RU").props(
            "outlined dense autogrow input-class=mono"
        )
        environment = ui.select(list(ENVIRONMENTS), label="On servers of", value="production").props("outlined dense")
        problem = ui.label().classes("us-error").props("role=alert")
        result = ui.element("div").classes("us-scroll").props("aria-live=polite")

        async def check() -> None:
            problem.text = ""
            result.clear()
            try:
                profiles = profile_of(
                    unit=str(unit.value),
                    unit_id=unit_id.value or "",
                    split_group=group.value or "",
                    attributes=profile.value or "",
                    came=came.value or "",
                )
                found: Sequence[Answer] = await asyncio.to_thread(
                    answers, self._visit, profiles, str(environment.value), list(self._seen.variants)
                )
            except (WrongProfile, *REFUSALS) as error:
                problem.text = sentence(error)
                return
            with result:
                html("answers.html", answers=sorted(found, key=lambda answer: (answer.variant is None, answer.key)))

        with ui.element("div"):
            ui.button("Check all tests", on_click=check)

    # --- overrides --------------------------------------------------------------------------------------------------

    def _force_form(self) -> None:
        unit, unit_id, environment = _unit_fields()
        keys = list(self._seen.variants)
        key = ui.select(keys, label="Test", with_input=True, on_change=lambda event: show(event.value))
        variant = ui.select([_NO_VARIANT], label="Variant")
        until = ui.input("Until (UTC); empty: for 7 days").props("type=datetime-local outlined dense stack-label")
        for field in (key, variant):
            field.props("outlined dense")

        def show(chosen: str | None) -> None:
            names = [*self._seen.variants.get(chosen or "", []), _NO_VARIANT]
            variant.set_options(names, value=names[0])

        async def force() -> None:
            wanted = None if variant.value == _NO_VARIANT else str(variant.value or "")
            await self._do(
                problem,
                lambda request: self._visit.parts.overrides.force(
                    request,
                    unit=f"{unit.value}:{(unit_id.value or '').strip()}",
                    environment=str(environment.value),
                    key=str(key.value or ""),
                    variant=wanted,
                    until=read_moment(until.value or ""),
                ),
            )

        with ui.element("div"):
            ui.button("Force", on_click=force)
        problem = ui.label().classes("us-error").props("role=alert")

    def _disable_form(self) -> None:
        unit, unit_id, environment = _unit_fields()
        key = ui.select(list(self._seen.variants), label="Test to enable all the same", with_input=True, clearable=True)
        key.props("outlined dense")
        commands = self._visit.parts.overrides
        problem = ui.label().classes("us-error").props("role=alert")

        async def disable() -> None:
            name, place = f"{unit.value}:{(unit_id.value or '').strip()}", str(environment.value)
            await self._do(problem, lambda request: commands.disable_tests(request, unit=name, environment=place))

        async def enable() -> None:
            name, place, wanted = f"{unit.value}:{(unit_id.value or '').strip()}", str(environment.value), key.value
            await self._do(
                problem,
                lambda request: commands.enable_test(request, unit=name, environment=place, key=str(wanted or "")),
            )

        with ui.element("div").classes("us-row"):
            ui.button("Switch all off", on_click=disable)
            ui.button("Enable this test", on_click=enable).props("flat")

    async def _do(self, problem: ui.label, act: Callable[[Request], Any]) -> None:
        problem.text = ""
        try:
            await asyncio.to_thread(lambda: act(Request(actor=self._visit.acting("override"))))
            self._seen = await asyncio.to_thread(_read, self._visit)
        except REFUSALS as error:
            problem.text = refused(error, by=self._visit.person.name)
            return
        self._show_list()

    def _show_list(self) -> None:
        self._list.clear()
        with self._list:
            problem = ui.label().classes("us-error").props("role=alert")
            if not self._seen.forced and not self._seen.disabled:
                advice = "What is forced appears here, until it ends or is taken back."
                html("empty.html", title="No overrides", advice=advice).classes("us-empty small")
            for each in self._seen.forced:
                self._line("override.html", problem, self._forget_forced(each), each=each)
            for unit in self._seen.disabled:
                self._line("disabled.html", problem, self._enable_all(unit), each=unit)

    def _line(self, template: str, problem: ui.label, take_back: Callable[[Request], Any], *, each: object) -> None:
        with ui.element("div").classes("us-row between us-line"):
            html(template, each=each).classes("grow")
            if self._may:
                ui.button("Take back", on_click=lambda: self._do(problem, take_back)).props("flat dense")

    def _forget_forced(self, each: ForcedVariant) -> Callable[[Request], Any]:
        return lambda request: self._visit.parts.overrides.forget(
            request, unit=each.unit, environment=each.environment, key=each.key
        )

    def _enable_all(self, each: DisabledUnit) -> Callable[[Request], Any]:
        return lambda request: self._visit.parts.overrides.enable_tests(
            request, unit=each.unit, environment=each.environment
        )


def _unit_fields(*, environment: bool = True) -> tuple[ui.select, ui.input, ui.select]:
    with ui.element("div").classes("us-row"):
        unit = ui.select(["user", "device", "guest"] if environment else ["user", "guest"], label="Who", value="user")
        unit.props("outlined dense").style("min-width: 110px")
        unit_id = ui.input("Id").props("outlined dense").classes("grow")
        place = ui.select(list(ENVIRONMENTS), label="Environment", value="devel")
        place.props("outlined dense").style("min-width: 130px").set_visibility(environment)
    return unit, unit_id, place
