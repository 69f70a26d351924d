"""The bar of a preview: it goes with the steps that the service tells of, and is gone with the result."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from nicegui import Client, ui

from audience.catalog import load_catalog
from audience.errors import FilterWithoutColumn
from audience.preview import Preview, Told
from web.frame import Visit
from web.preview_panel import PreviewPanel
from web.seen_test import SeenTest
from web.settings_form import SettingsForm, VariantRow

FORM = SettingsForm(
    starts_at="2026-05-01T00:00",
    ends_at="2026-06-01T00:00",
    variants=[VariantRow(name="control", control=True), VariantRow(name="green")],
)
PREVIEW = Preview(
    settings_group=1,
    variants=(),
    overlaps=(),
    kept_groups=0,
    moved=(),
    assumed_filters=(),
    base_rate=0.1,
    users=1234,
)


class SteppedService:
    """A service whose preview takes a step whenever the test says so, and ends as the test says."""

    def __init__(self) -> None:
        self.steps: asyncio.Queue[tuple[str, str] | Preview | Exception] = asyncio.Queue()
        self.asked = 0
        self.parts = SimpleNamespace(audience=self, catalog=load_catalog())

    async def counting(self, ask: Callable[[], Any]) -> Any:
        told: Told = ask.args[-1]  # type: ignore[attr-defined]  # what the panel bound
        self.asked += 1
        while isinstance(step := await self.steps.get(), tuple):
            told(*step)
            self.steps.task_done()
        if isinstance(step, Exception):
            raise step
        return step

    async def take(self, name: str, brought: str) -> None:
        self.steps.put_nowait((name, brought))
        await self.steps.join()


@contextmanager
def a_panel(service: SteppedService) -> Iterator[tuple[PreviewPanel, Client]]:
    client = Client(ui.page("/unit"), request=None)
    test = SimpleNamespace(key="button", listed=SimpleNamespace(type="web"))
    try:
        with client:
            panel = PreviewPanel(cast("Visit", service), cast("SeenTest", test), lambda: FORM)
            panel.edited(can_be_proposed=True)
            yield panel, client
    finally:
        client.delete()


def bars(client: Client) -> list[float]:
    """Let what draws itself again and again draw itself; return where the bars stand."""
    for each in list(client.elements.values()):
        if isinstance(each, ui.timer) and each.callback is not None:
            each.callback()
    return [each.value for each in client.elements.values() if isinstance(each, ui.linear_progress)]


def shown(client: Client) -> str:
    texts = [getattr(each, "text", "") or getattr(each, "content", "") for each in client.elements.values()]
    return " ".join(text for text in texts if text)


async def seen_to_move() -> None:
    service = SteppedService()
    with a_panel(service) as (panel, client):
        preview = asyncio.create_task(panel._preview())
        await asyncio.sleep(0)
        assert bars(client) == [0.0]
        await service.take("overlaps", "3 tests overlap by dates")
        assert bars(client) == [0.1]
        assert "Counting users …" in shown(client)
        assert "3 tests overlap by dates" in shown(client)
        await panel._preview()  # a second click
        assert service.asked == 1
        await service.take("counted", "1,234 users counted")
        assert bars(client) == [0.7]
        assert "3 tests overlap by dates; 1,234 users counted" in shown(client)
        service.steps.put_nowait(PREVIEW)
        await preview
        assert bars(client) == []
        assert "1,234" in shown(client)


def test_the_bar_goes_with_the_steps_and_gives_way_to_the_result() -> None:
    asyncio.run(seen_to_move())


async def failed_on_the_way() -> None:
    service = SteppedService()
    with a_panel(service) as (panel, client):
        preview = asyncio.create_task(panel._preview())
        await service.take("overlaps", "")
        service.steps.put_nowait(FilterWithoutColumn("shoe_size"))
        await preview
        assert bars(client) == []
        assert "The filter shoe_size has no column" in shown(client)


def test_a_preview_that_fails_leaves_its_reason_and_no_bar() -> None:
    asyncio.run(failed_on_the_way())
