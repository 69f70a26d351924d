"""For operators: where projections stand, which servers have laid out what, and how far consumers are."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nicegui import ui

from projections import laid_out
from projections.laid_out import Server
from projections.overview import GenerationOverview
from projections.progress import Progress
from web.frame import Visit, card, frame, head
from web.refusals import REFUSALS, refused
from web.rendering import html

_LOOK_EVERY_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    head: int
    projections: Sequence[GenerationOverview]
    servers: Sequence[Server]
    missing: dict[str, int]


async def build(visit: Visit) -> None:
    """Show the page; it looks again every few seconds."""
    with frame(visit, "Operations"):
        head("Operations", sub="Read models and servers. Everybody may look; superusers act.")
        _Operations(visit, await asyncio.to_thread(_read, visit))


def _read(visit: Visit) -> _Seen:
    with visit.reading() as connection:
        late = [name for names in laid_out.not_laid_out(connection).values() for name in names]
        found = laid_out.servers(connection)
    head_position = visit.parts.store.head()
    return _Seen(
        head=head_position,
        projections=visit.parts.operations.overview(),
        servers=found,
        missing={server.name: late.count(server.name) for server in found},
    )


class _Operations:
    def __init__(self, visit: Visit, seen: _Seen) -> None:
        self._visit = visit
        with ui.element("div").classes("us-stack"):
            with card("Projections"):
                self._projections = ui.element("div").classes("us-scroll")
                self._problem = ui.label().classes("us-error").props("role=alert")
                self._bar = ui.element("div").classes("us-tight")
                if visit.person.may("operate"):
                    self._actions(sorted({each.name for each in seen.projections}))
            with card("Servers"):
                self._servers = ui.element("div").classes("us-scroll")
        self._show(seen)
        ui.timer(_LOOK_EVERY_SECONDS, self._look, immediate=False)

    async def _look(self) -> None:
        self._show(await asyncio.to_thread(_read, self._visit))

    def _show(self, seen: _Seen) -> None:
        for place, template in ((self._projections, "projections.html"), (self._servers, "servers.html")):
            place.clear()
            with place:
                html(template, seen=seen)

    def _actions(self, names: Sequence[str]) -> None:
        operations = self._visit.parts.operations
        with ui.element("div").classes("us-row"):
            chosen = ui.select(list(names), label="Projection", value=names[0] if names else None)
            chosen.props("outlined dense").style("min-width: 220px")

            def name() -> str:
                return str(chosen.value or "")

            ui.button("Pause", on_click=lambda: self._do(lambda: operations.pause(name()))).props("flat")
            ui.button("Resume", on_click=lambda: self._do(lambda: operations.resume(name()))).props("flat")
            ui.button("Rebuild", on_click=lambda: self._rebuild(name())).props("flat")

    async def _do(self, act: Callable[[], None]) -> None:
        self._problem.text = ""
        try:
            await asyncio.to_thread(self._visit.acting, "operate")
            await asyncio.to_thread(act)
        except REFUSALS as error:
            self._problem.text = refused(error, by=self._visit.person.name)
        await self._look()

    async def _rebuild(self, name: str) -> None:
        progress: Progress | None = None

        def told(newest: Progress) -> None:
            nonlocal progress
            progress = newest

        self._bar.clear()
        with self._bar:
            bar = ui.linear_progress(value=0.0, show_value=False).props("rounded instant-feedback")
            said = ui.label(f"Rebuilding {name}; readers are given the old rows until it has caught up.")

        def draw() -> None:
            if progress is not None:
                bar.value = progress.done / max(progress.total, 1)
                said.text = f"{name}: {progress.stage}, {progress.done:,} of {progress.total:,} facts"

        with self._bar:
            timer = ui.timer(0.3, draw)
        await self._do(lambda: self._visit.parts.operations.rebuild(name, told))
        timer.cancel()
        self._bar.clear()
