"""The preview of a proposal: estimate, smallest effects, overlaps, and who would move compared with now.

It is counted in a thread of the pool for counting, with its steps shown as they are over. What is edited afterwards
does not change it: it is marked as one of an earlier edit, until somebody asks again.
"""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, Final

from nicegui import ui

from audience.preview import Preview
from projections import readable
from projections.preparation_steps import SHARE_DONE
from web.frame import Visit, note
from web.live_numbers import CANNOT_COUNT, labels_of
from web.refusals import sentence
from web.rendering import html
from web.seen_test import SeenTest
from web.settings_form import SettingsForm, proposal_document

_DRAW_SECONDS: Final = 0.2
_MOST_PERCENT: Final = 100
NEXT_STEP: Final = {
    "": "Looking for tests that overlap by dates …",
    "waiting": "Waiting for its turn …",
    "overlaps": "Counting users …",
    "counted": "Drawing split groups …",
    "split_groups": "Nearly done …",
}
"""What is under way once a step is over."""


class NotABaseRate(Exception):
    """What was typed as the base rate is none."""


class PreviewPanel:
    """The button, the progress bar and the result; only where users are counted.

    Args:
        visit: whose page it is.
        test: whose settings are edited.
        form: gives the form as it is now.
    """

    def __init__(self, visit: Visit, test: SeenTest, form: Callable[[], SettingsForm]) -> None:
        self._visit = visit
        self._test = test
        self._form = form
        self._previewed: dict[str, Any] | None = None
        self._can_be_proposed = False
        self._is_counting = False
        with ui.element("div").classes("us-row top"):
            self._rate = (
                ui.input("Base rate", placeholder="10")
                .without_auto_validation()
                .props(
                    'outlined dense inputmode=decimal suffix="%" stack-label '
                    'hint="How many users do already what it is about"'
                )
                .style("width: 290px; max-width: 100%")
            )
            self._button = ui.button("Preview", icon="preview", on_click=self._preview).props("outline")
        self._stale = ui.label().classes("us-note amber us-small").props("role=status")
        self._stale.set_visibility(False)
        self._progress = ui.element("div").classes("us-tight").props("role=status")
        self._result = ui.element("div").props("aria-live=polite")

    def edited(self, *, can_be_proposed: bool) -> None:
        """Say whether the preview is still one of what the form says, and whether another one can be asked for."""
        self._can_be_proposed = can_be_proposed
        self._button.set_enabled(can_be_proposed and not self._is_counting)
        self._mark_stale()

    def _mark_stale(self) -> None:
        is_stale = self._previewed is not None and self._previewed != proposal_document(self._form())
        self._stale.set_visibility(is_stale)
        self._stale.text = "This preview is of an earlier edit. Preview again." if is_stale else ""
        self._result.classes(add="us-stale" if is_stale else "", remove="" if is_stale else "us-stale")

    async def _preview(self) -> None:
        self._rate.error = None
        try:
            rate = read_base_rate(self._rate.value or "")
        except NotABaseRate as error:
            self._rate.error = str(error)
            return
        if self._is_counting:
            return  # a second click that was on its way before the button was closed
        form, document = self._form(), proposal_document(self._form())
        baseline = next((each.name for each in form.variants if each.control), form.variants[0].name)
        self._is_counting = True
        self._button.disable()
        self._previewed = None
        self._mark_stale()
        self._result.clear()
        try:
            preview: Preview | str = await self._counted(document, rate)
        except CANNOT_COUNT as error:
            preview = sentence(error)
        finally:
            self._is_counting = False
            self._progress.clear()
            self._button.set_enabled(self._can_be_proposed)
        self._previewed = document
        with self._result:
            if isinstance(preview, str):
                note(preview, "red")
            else:
                html(
                    "preview.html",
                    preview=preview,
                    baseline=baseline,
                    in_test=sum(variant.users or 0 for variant in preview.variants),
                    assumed=labels_of(preview.assumed_filters, self._visit.parts.catalog),
                    effect=readable.smallest_effect,
                    shares=readable.percents_shared,
                )
        self._mark_stale()

    async def _counted(self, document: dict[str, Any], rate: float | None) -> Preview:
        steps: list[tuple[str, str]] = []

        def draw() -> None:
            step = steps[-1][0] if steps else ""
            bar.value = SHARE_DONE.get(step, 0.0)
            said.text = NEXT_STEP.get(step, "")
            over.text = "; ".join(detail for _, detail in steps)

        with self._progress:
            bar = ui.linear_progress(value=0.0, show_value=False).props('rounded stripe aria-label="Counting"')
            said = ui.label(NEXT_STEP[""]).classes("us-small")
            over = ui.label().classes("us-muted us-small")
            ui.timer(_DRAW_SECONDS, draw)
        return await self._visit.counting(
            partial(self._ask, document, rate, lambda step, brought: steps.append((step, brought)))
        )

    def _ask(self, document: dict[str, Any], rate: float | None, told: Callable[[str, str], object]) -> Preview:
        service = self._visit.parts.audience
        if service is None:  # pragma: no cover - such a page has no button
            raise RuntimeError("nobody counts here")
        self._visit.acting("steer")
        return service.preview(self._test.key, document, type=self._test.listed.type, base_rate=rate, told=told)


def read_base_rate(text: str) -> float | None:
    """Return the base rate, a share, from a percent as it was typed; None where nothing was typed.

    Raises:
        NotABaseRate: it is no percent between 0 and 100.
    """
    typed = text.strip().replace(",", ".").removesuffix("%").strip()
    if not typed:
        return None
    try:
        percent = Decimal(typed)
    except InvalidOperation:
        percent = Decimal("NaN")
    if not (percent.is_finite() and 0 < percent < _MOST_PERCENT):
        raise NotABaseRate("Give a percent between 0 and 100, such as 2.5.")
    return float(percent / _MOST_PERCENT)
