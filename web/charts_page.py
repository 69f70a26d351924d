"""The charts of a test: is there traffic, is it even, and which change of settings does a jump come from."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from nicegui import ui

from domain.evenness import Evenness, evenness
from warehouse.errors import WarehouseError
from warehouse.traffic import HitTraffic, Span, UnitsShown, VariantTraffic
from web.charts import WINDOW_NAMES, hits_options, marks, span_of
from web.frame import Visit, card, empty, frame, note
from web.refusals import sentence
from web.rendering import html
from web.seen_test import SeenTest, address_of, head_of, read_test

_ENVIRONMENTS = {"production": "production", "devel": "devel"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    lines: Sequence[VariantTraffic]
    units: UnitsShown
    even: Evenness


async def build(visit: Visit) -> None:
    """Show the charts; `window` and `environment` stand behind the address's question mark."""
    test = await asyncio.to_thread(read_test, visit, visit.key)
    window = visit.said("window") if visit.said("window") in WINDOW_NAMES else "day"
    environment = visit.said("environment") if visit.said("environment") in _ENVIRONMENTS else "production"
    with frame(visit, f"Charts of {test.listed.name}"):
        head_of(test, "/charts")
        with ui.element("div").classes("us-stack"):
            _choices(test, window, environment)
            traffic = visit.parts.traffic
            if traffic is None:
                note("No warehouse is connected, so there is nothing to draw. An operator connects one: docs/bi.md.")
                return
            span = span_of(window, visit.parts.now(), environment)
            try:
                counted = await asyncio.to_thread(_count, traffic, test, span)
            except WarehouseError as error:
                note(f"The warehouse does not answer: {sentence(error)}", "red")
                return
            _show(test, span, counted)


def _choices(test: SeenTest, window: str, environment: str) -> None:
    def go(new_window: str, new_environment: str) -> None:
        ui.navigate.to(address_of(test.key, f"/charts?window={new_window}&environment={new_environment}"))

    with ui.element("div").classes("us-row"):
        ui.select(
            dict(WINDOW_NAMES), label="Time", value=window, on_change=lambda event: go(str(event.value), environment)
        ).props("outlined dense").style("min-width: 170px")
        ui.select(
            _ENVIRONMENTS, label="Environment", value=environment, on_change=lambda event: go(window, str(event.value))
        ).props("outlined dense").style("min-width: 170px")


def _count(traffic: HitTraffic, test: SeenTest, span: Span) -> _Counted:
    settings = test.settings
    units = traffic.units(test.key, settings.settings_group, span)
    promised = {variant.name: float(variant.groups) for variant in settings.variants}
    return _Counted(lines=traffic.over_time(test.key, span), units=units, even=evenness(units.per_variant, promised))


def _show(test: SeenTest, span: Span, counted: _Counted) -> None:
    with card("Hits per variant"):
        if counted.lines:
            ui.echart(hits_options(counted.lines, span, test.entries)).style("height: 340px; width: 100%").props(
                'role=img aria-label="Hits per variant over time"'
            )
            html("hits.html", lines=counted.lines, marks=marks(test.entries, span))
        else:
            status = test.listed.status
            advice = {
                "draft": "A Draft shows nobody a variant. Publish it, and test users get one.",
                "in_dev": "Only test users get a variant while it is In Dev. Open the product as one of them.",
                "paused": "It is paused: nobody gets a variant.",
            }.get(status, "Is the code deployed, and does a service ask for the variant? See “Code deployed”.")
            empty("No hits in this time", advice)
    with card(f"Evenness of settings group {test.settings.settings_group}"):
        html("evenness.html", even=counted.even, units=counted.units)
