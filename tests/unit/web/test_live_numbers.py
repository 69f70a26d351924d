"""Which answers stand beside conditions while somebody edits faster than anybody counts."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from nicegui import Client, ui

from audience.catalog import load_catalog
from audience.errors import FilterWithoutColumn
from audience.preview import LiveAnswer
from web.frame import Visit
from web.live_numbers import NOBODY_COUNTS, Edit, LiveNumbers

NOW = datetime(2026, 5, 4, 12, 30, 15, tzinfo=UTC)
EVERYBODY, ADULTS = Edit(conditions=[]), Edit(conditions=[{"filter": "age", "operator": "gte", "value": "18"}])


class SlowVisit:
    """A visit whose counting is over when the test says so."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.counted: asyncio.Queue[LiveAnswer | Exception] = asyncio.Queue()
        self.parts = SimpleNamespace(audience=self, catalog=load_catalog())

    async def counting(self, ask: Callable[[], Any]) -> Any:
        del ask
        self.asked.append(len(self.asked))
        answer = await self.counted.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(users: int) -> LiveAnswer:
    return LiveAnswer(users=users, shared=(), as_of=NOW, assumed_filters=())


@contextmanager
def a_page() -> Iterator[Client]:
    client = Client(ui.page("/unit"), request=None)
    try:
        with client:
            yield client
    finally:
        client.delete()


def shown(client: Client) -> str:
    texts = [getattr(each, "text", "") or getattr(each, "content", "") for each in client.elements.values()]
    return " ".join(text for text in texts if text)


async def counted(live: LiveNumbers) -> None:
    await live._count()


async def edited_while_counting() -> None:
    visit = SlowVisit()
    with a_page() as client:
        live = LiveNumbers(cast("Visit", visit))
        live.edited(EVERYBODY)
        first = asyncio.create_task(counted(live))
        await asyncio.sleep(0)
        live.edited(ADULTS)
        visit.counted.put_nowait(answer(1234))
        await first
        assert "1,234" not in shown(client)
        visit.counted.put_nowait(answer(77))
        await counted(live)
        assert ">77<" in shown(client)
        assert "2026-05-04 12:30:15 UTC" in shown(client)


def test_an_answer_to_an_older_edit_is_not_shown() -> None:
    asyncio.run(edited_while_counting())


async def begun_meanwhile() -> None:
    visit = SlowVisit()
    with a_page() as client:
        live = LiveNumbers(cast("Visit", visit))
        live.edited(EVERYBODY)
        visit.counted.put_nowait(answer(5))
        await counted(live)
        assert live._later.active
        visit.counted.put_nowait(answer(6))
        await live._look_again()
        assert ">6<" in shown(client)
        assert live._later.active
        visit.counted.put_nowait(answer(6))
        await live._look_again()
        assert not live._later.active  # nothing moved any more
        live.edited(ADULTS)
        asking = asyncio.create_task(live._look_again())
        visit.counted.put_nowait(answer(7))
        await asking
        assert ">7<" not in shown(client)  # of an edit that is not the newest any more


def test_numbers_are_asked_for_once_more_for_a_test_that_has_just_begun() -> None:
    asyncio.run(begun_meanwhile())


async def edited_back_and_forth() -> None:
    visit = SlowVisit()
    with a_page() as client:
        live = LiveNumbers(cast("Visit", visit))
        visit.counted.put_nowait(answer(5))
        live.edited(EVERYBODY)
        await counted(live)
        live.edited(None)  # an unfinished condition
        await counted(live)
        live.edited(EVERYBODY)
        await counted(live)
        assert visit.asked == [0]
        assert ">5<" in shown(client)


def test_what_stands_there_is_not_asked_again() -> None:
    asyncio.run(edited_back_and_forth())


async def refused_then_counted() -> None:
    visit = SlowVisit()
    with a_page() as client:
        live = LiveNumbers(cast("Visit", visit))
        visit.counted.put_nowait(FilterWithoutColumn("shoe_size"))
        live.edited(EVERYBODY)
        await counted(live)
        assert "The filter shoe_size has no column" in shown(client)
        visit.counted.put_nowait(answer(5))
        live._count_again()
        await counted(live)
        assert ">5<" in shown(client)
        assert "shoe_size" not in shown(client)


def test_a_refusal_is_shown_and_can_be_tried_again() -> None:
    asyncio.run(refused_then_counted())


def test_without_users_it_is_said_and_nothing_is_asked() -> None:
    visit = SlowVisit()
    visit.parts.audience = None

    async def without() -> None:
        with a_page() as client:
            LiveNumbers(cast("Visit", visit)).edited(EVERYBODY)
            assert NOBODY_COUNTS in shown(client)

    asyncio.run(without())
    assert visit.asked == []
