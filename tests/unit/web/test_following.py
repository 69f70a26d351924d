"""Pages that follow the log: whatever comes between a look and its answer, what they show in the end is the newest."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nicegui import Client, ui

from events.errors import DatabaseUnavailable
from web import list_page, seen_test
from web.frame import Visit
from web.list_page import _List, _Shown, _Traffic
from web.listing import Listing, Wanted
from web.seen_test import SeenTest, watch

NOW = datetime(2026, 5, 4, 12, 30, 15, tzinfo=UTC)


class Log:
    """A log of so many facts, each a test more; its database is away when a test says so."""

    def __init__(self) -> None:
        self.facts = 1
        self.is_away = False

    def head(self) -> int:
        return self.facts

    def read(self) -> int:
        if self.is_away:
            raise DatabaseUnavailable("planted")
        return self.facts


@contextmanager
def a_page(log: Log) -> Iterator[Visit]:
    person = SimpleNamespace(name="ann", may=lambda _permission: False)
    client = Client(ui.page("/unit"), request=None)
    try:
        with client:
            yield cast("Visit", SimpleNamespace(parts=SimpleNamespace(store=log), person=person))
    finally:
        client.delete()


def listed(tests: int) -> _Shown:
    listing = Listing(tests=(), total=tests, page=1, pages=1, by_status={}, known=tests, types=())
    return _Shown(listing=listing, lines=(), head=tests, traffic=_Traffic(asked_at=NOW, hits={}))


def a_list(log: Log, monkeypatch: pytest.MonkeyPatch, read: Callable[..., _Shown]) -> Callable[[Visit], _List]:
    monkeypatch.setattr(list_page, "_read", read)
    return lambda visit: _List(visit, Wanted(), listed(log.facts))


def test_a_list_whose_database_went_away_in_the_midst_of_a_look_shows_the_newest_at_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log()
    make = a_list(log, monkeypatch, lambda *_: listed(log.read()))
    with a_page(log) as visit:
        page = make(visit)
        log.facts, log.is_away = 2, True
        asyncio.run(page._follow())
        assert page._said.text == "1 test"
        log.is_away = False
        asyncio.run(page._follow())
        assert page._said.text == "2 tests"


def test_an_answer_that_was_asked_for_earlier_and_comes_later_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    log, waits, may_go_on = Log(), threading.Event(), threading.Event()

    def read(*_: Any) -> _Shown:
        shown = listed(log.read())
        if shown.head == 1:
            waits.set()
            assert may_go_on.wait(60)
        return shown

    async def overtaken(page: _List) -> None:
        slow = asyncio.create_task(page._look())
        await asyncio.to_thread(waits.wait, 60)
        log.facts = 2
        await page._follow()
        assert page._said.text == "2 tests"
        may_go_on.set()
        await slow
        assert page._said.text == "2 tests"

    make = a_list(log, monkeypatch, read)
    with a_page(log) as visit:
        asyncio.run(overtaken(make(visit)))


def test_a_page_of_a_test_whose_database_went_away_in_the_midst_of_a_look_is_told_at_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, told = Log(), list[int]()

    def read(*_: Any) -> SeenTest:
        return cast("SeenTest", SimpleNamespace(listed=SimpleNamespace(version=log.read())))

    async def changed(test: SeenTest) -> None:
        told.append(test.listed.version)

    monkeypatch.setattr(seen_test, "read_test", read)
    with a_page(log) as visit:
        watch(visit, "button", 1, changed)
        (timer,) = [each for each in ui.context.client.elements.values() if isinstance(each, ui.timer)]
        look: Any = timer.callback
        log.facts, log.is_away = 2, True
        with pytest.raises(DatabaseUnavailable):
            asyncio.run(look())
        log.is_away = False
        asyncio.run(look())
        asyncio.run(look())
    assert told == [2]
