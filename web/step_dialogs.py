"""The buttons of a test's lifecycle: each says what it will do before it does it, and Start shows its checklist."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from nicegui import ui

from commands.split_tests import Request, SplitTestCommands
from domain.lifecycle import Action, possible_actions
from domain.split_test import Status
from events.store import Appended
from projections.checklist import checklist
from web.asking import ask
from web.frame import Visit
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.seen_test import SeenTest, address_of, read_test, request_of
from web.steps import STEPS

_QUIET: Final[tuple[Action, ...]] = ("unpublish", "discard", "reject")


def step_buttons(visit: Visit, test: SeenTest) -> None:
    """Show a button for every step that can be taken from where the test is, if the person may take it."""
    if not test.may_steer:
        return
    for action in possible_actions(Status(test.listed.status)):
        step = STEPS[action]
        button = ui.button(step.label, on_click=lambda _, each=action: _ask(visit, test, each))
        button.props(f"color={step.color} {'flat' if action in _QUIET else ''}")


def _ask(visit: Visit, test: SeenTest, action: Action) -> None:
    step = STEPS[action]
    finish = _FinishForm(test)

    def body() -> None:
        if action == "finish":
            finish.show()
        elif action == "start":
            found = checklist(
                test.listed,
                test.settings,
                missing_on=test.missing_on,
                prepared_at=test.prepared_at,
                now=visit.parts.now(),
            )
            html("checklist.html", findings=found)

    async def take() -> str:
        arguments = finish.arguments() if action == "finish" else {}
        if None in arguments.values():
            return "Choose the resulting variant: it cannot be taken back."
        try:
            await asyncio.to_thread(_take, visit, test, action, arguments)
        except REFUSALS as error:
            return refused(error, by=visit.person.name)
        ui.navigate.to("/" if action == "discard" else address_of(test.key))
        return ""

    title = f"{step.label} “{test.listed.name}”?"
    ask(title, step.does, take, label=step.label, color=step.color, body=body)


class _FinishForm:
    """Which variant is the result, and who gets it."""

    _variant: ui.radio
    _scope: ui.radio

    def __init__(self, test: SeenTest) -> None:
        self._test = test

    def show(self) -> None:
        """Show it, where the caller is."""
        variants = self._test.settings.variants
        html("h3.html", title="Resulting variant")
        # None is chosen beforehand: one click too many must not give a variant to everybody for good.
        self._variant = ui.radio([variant.name for variant in variants]).props('inline aria-label="Resulting variant"')
        html("h3.html", title="Who gets it")
        self._scope = ui.radio(
            {"worldwide": "everybody, worldwide", "conditions": "those who meet the conditions"}, value="worldwide"
        ).props('aria-label="Who gets it"')

    def arguments(self) -> dict[str, str | None]:
        """Return what the command takes; no variant while none is chosen."""
        return {"resulting_variant": self._variant.value, "scope": self._scope.value}


def _take(visit: Visit, test: SeenTest, action: Action, arguments: Mapping[str, str | None]) -> Appended:
    commands: SplitTestCommands = visit.parts.split_tests
    newest = read_test(visit, test.key)
    decided_on = newest if newest.is_as_decided_as(test) else test
    request: Request = request_of(visit, decided_on.listed.version)
    take: Callable[..., Appended] = getattr(commands, action)
    return take(request, test.key, **arguments)
