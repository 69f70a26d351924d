"""The buttons of a test's lifecycle: each says what it will do before it does it, and Start shows its checklist."""

import asyncio
from collections.abc import Callable

from nicegui import ui

from commands.split_tests import Request, SplitTestCommands
from domain.lifecycle import Action, possible_actions
from domain.split_test import Status
from events.store import Appended
from web.checklist import checklist
from web.frame import Visit
from web.refusals import REFUSALS, refused
from web.rendering import html
from web.seen_test import SeenTest, address_of, request_of
from web.steps import STEPS

_QUIET: tuple[Action, ...] = ("unpublish", "discard", "reject")


def step_buttons(visit: Visit, test: SeenTest) -> None:
    """Show a button for every step that can be taken from where the test is, if the person may take it."""
    if not test.may_steer:
        return
    for action in possible_actions(Status(test.listed.status)):
        step = STEPS[action]
        button = ui.button(step.label, on_click=lambda _, each=action: _ask(visit, test, each))
        button.props(f"color={step.color} {'flat' if action in _QUIET else ''}")


async def _ask(visit: Visit, test: SeenTest, action: Action) -> None:
    step = STEPS[action]
    with ui.dialog().props("aria-label=" + step.label.replace(" ", "_")) as dialog, ui.card().classes("us-dialog"):
        html("h2.html", title=f"{step.label}: {test.listed.name}?")
        ui.label(step.does)
        arguments = _finish_form(test) if action == "finish" else None
        if action == "start":
            findings = checklist(test, visit.parts.now())
            html("checklist.html", findings=findings)
        problem = ui.label().classes("us-error").props("role=alert")
        with ui.element("div").classes("us-row").style("justify-content: flex-end"):
            ui.button("Cancel", on_click=dialog.close).props("flat")
            go = ui.button(step.label).props(f"color={step.color}")

    async def take() -> None:
        go.disable()
        try:
            await asyncio.to_thread(_take, visit, test, action, arguments() if arguments else {})
        except REFUSALS as error:
            problem.text = refused(error, by=visit.person.name)
            go.enable()
            return
        ui.navigate.to("/" if action == "discard" else address_of(test.key))

    go.on_click(take)
    dialog.open()


def _finish_form(test: SeenTest) -> Callable[[], dict[str, str]]:
    names = [variant.name for variant in test.settings.variants]
    challengers = [variant.name for variant in test.settings.variants if not variant.is_control]
    chosen = ui.radio(names, value=(challengers or names)[0]).props('inline aria-label="Resulting variant"')
    scope = ui.radio(
        {"worldwide": "for everybody, worldwide", "conditions": "for those who meet the conditions"}, value="worldwide"
    ).props('aria-label="For whom"')
    return lambda: {"resulting_variant": str(chosen.value), "scope": str(scope.value)}


def _take(visit: Visit, test: SeenTest, action: Action, arguments: dict[str, str]) -> Appended:
    commands: SplitTestCommands = visit.parts.split_tests
    request: Request = request_of(visit, test.listed.version)
    take: Callable[..., Appended] = getattr(commands, action)
    return take(request, test.key, **arguments)
