"""For operators: where projections stand, how far consumers are, and which servers have laid out what."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from nicegui import background_tasks, ui

from projections import laid_out
from projections.laid_out import Server
from projections.overview import GenerationOverview
from projections.progress import Progress
from web.asking import ask
from web.frame import Visit, card, frame, head
from web.late_servers import late_servers
from web.refusals import REFUSALS, refused
from web.rendering import html, rendered

_LOOK_EVERY_SECONDS: Final = 3.0
_DRAW_SECONDS: Final = 0.3
_DOES: Final = {
    "pause": "It keeps its last rows, which readers are given until it is resumed. What waits for it, waits: the relay "
    "for “config”, and everybody who looks at its pages for news.",
    "resume": "It goes on from where it stands.",
    "rebuild": "It is built anew beside the live rows, which readers are given until it has caught up. A long log "
    "takes minutes.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    head: int
    projections: Sequence[GenerationOverview]
    servers: Sequence[Server]
    missing: dict[str, int]


async def build(visit: Visit) -> None:
    """Show the page; it looks again every few seconds."""
    with frame(visit, "Operations"):
        head("Operations", sub="Read models, consumers and servers. Everybody may look; superusers act.")
        _Operations(visit, await asyncio.to_thread(_read, visit))


def _read(visit: Visit) -> _Seen:
    with visit.reading() as connection:
        late = [name for names in late_servers(connection).values() for name in names]
        found = laid_out.servers(connection)
    head_position = visit.parts.store.head()
    return _Seen(
        head=head_position,
        projections=visit.parts.operations.overview(),
        servers=found,
        missing={server.name: late.count(server.name) for server in found},
    )


class _Operations:
    """The page's content. What has not changed is not drawn anew, so that nobody is read the same table again."""

    def __init__(self, visit: Visit, seen: _Seen) -> None:
        self._visit = visit
        with ui.element("div").classes("us-stack"):
            with card("Projections"):
                self._projections = html("projections.html", seen=seen).classes("us-scroll")
                self._problem = ui.label().classes("us-error").props("role=alert")
                self._bar = ui.element("div").classes("us-tight")
                if visit.person.may("operate"):
                    self._actions(sorted({each.name for each in seen.projections}))
            with card("Consumers"):
                self._consumers = html("looking.html").classes("us-scroll")
            with card("Servers"):
                self._servers = html("servers.html", seen=seen).classes("us-scroll")
        ui.timer(_LOOK_EVERY_SECONDS, self._look, immediate=False)
        # Kafka may take seconds to answer, or not to: the rest of the page does not wait for it.
        ui.timer(_LOOK_EVERY_SECONDS, self._look_at_consumers)

    async def _look(self) -> None:
        seen = await asyncio.to_thread(_read, self._visit)
        _replace(self._projections, rendered("projections.html", seen=seen))
        _replace(self._servers, rendered("servers.html", seen=seen))

    async def _look_at_consumers(self) -> None:
        standings = await asyncio.to_thread(self._visit.parts.operations.consumers)
        _replace(self._consumers, rendered("consumers.html", standings=standings))

    def _actions(self, names: Sequence[str]) -> None:
        with ui.element("div").classes("us-row"):
            chosen = ui.select(list(names), label="Projection", value=names[0] if names else None)
            chosen.props("outlined dense").style("min-width: 220px")
            for action in _DOES:
                ui.button(
                    action.title(), on_click=lambda _, wanted=action: self._ask(wanted, str(chosen.value or ""))
                ).props("flat")

    def _ask(self, action: str, name: str) -> None:
        operations = self._visit.parts.operations

        async def take() -> str:
            if action == "rebuild":
                # It takes minutes: its bar is on the page, and neither the dialog nor the page need stay for it.
                background_tasks.create(self._rebuild(name), name=f"rebuild of {name}")
                return ""
            act = operations.pause if action == "pause" else operations.resume
            return await self._do(lambda: act(name))

        label = action.title()
        ask(f"{label} “{name}”?", _DOES[action], take, label=label)

    async def _do(self, act: Callable[[], None]) -> str:
        self._problem.text = ""
        try:
            await asyncio.to_thread(self._visit.acting, "operate")
            await asyncio.to_thread(act)
        except REFUSALS as error:
            return refused(error, by=self._visit.person.name)
        finally:
            await self._look()
        return ""

    async def _rebuild(self, name: str) -> None:
        progress: Progress | None = None

        def told(newest: Progress) -> None:
            nonlocal progress
            progress = newest

        def draw() -> None:
            if progress is not None:
                bar.value = progress.done / max(progress.total, 1)
                said.text = f"{name}: {progress.stage}, {progress.done:,} of {progress.total:,} facts"

        self._bar.clear()
        with self._bar:
            bar = ui.linear_progress(value=0.0, show_value=False).props('rounded aria-label="Rebuild"')
            said = ui.label(f"Rebuilding {name}; readers are given the old rows until it has caught up.")
            ui.timer(_DRAW_SECONDS, draw)
        self._problem.text = await self._do(lambda: self._visit.parts.operations.rebuild(name, told))
        self._bar.clear()


def _replace(place: ui.html, content: str) -> None:
    if place.content != content:
        place.set_content(content)
