"""People who are faster than a page's web socket, or whose connection breaks: nothing they do is lost or done twice."""

import re
from collections.abc import Callable

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.support.pages import Pages, fill, of_test, settle
from tests.support.terminal import wait_until


class Line:
    """Between a window and its server: what goes through the web sockets, unless it is held back or gets lost."""

    def __init__(self, page: Page) -> None:
        self.lost: list[str | bytes] = []
        self._page = page
        self._held: list[str | bytes] = []
        self._through: list[str | bytes] = []
        self.is_said: Callable[[str | bytes], bool] = lambda _: True
        self.is_heard: Callable[[str | bytes], bool] = lambda _: True
        self._sockets: list[tuple[WebSocketRoute, WebSocketRoute]] = []
        page.route_web_socket("**/_nicegui_ws/**", self._route)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait for something that goes through here, which it does only while Playwright is at work."""

        def look() -> bool:
            self._page.wait_for_timeout(20)
            return condition()

        wait_until("it went through the line", look)

    def events_said(self) -> int:
        """How many events went to the server."""
        return sum(map(is_event, self._through))

    def answers_heard(self) -> int:
        """For how many the window heard an answer."""
        return sum(map(is_answer, self._through))

    @property
    def connections(self) -> int:
        """How often the window has connected."""
        return len(self._sockets)

    def tell(self) -> None:
        """Tell the window what was held back."""
        ws, _ = self._sockets[-1]
        for message in self._held:
            ws.send(message)

    def cut(self) -> None:
        """Break the connection, for both ends."""
        for end in self._sockets[-1]:
            end.close()

    def _route(self, ws: WebSocketRoute) -> None:
        server = ws.connect_to_server()
        self._sockets.append((ws, server))
        ws.on_message(lambda message: self._say(server, message))
        server.on_message(lambda message: self._hear(ws, message))

    def _say(self, server: WebSocketRoute, message: str | bytes) -> None:
        if self.is_said(message):
            self._through.append(message)
            server.send(message)
        else:
            self.lost.append(message)

    def _hear(self, ws: WebSocketRoute, message: str | bytes) -> None:
        if self.is_heard(message):
            self._through.append(message)
            ws.send(message)
        else:
            self._held.append(message)


SETTINGS = {
    "starts_at": "2026-01-01",
    "ends_at": "2030-06-01",
    "total_percent": 20,
    "variants": [{"name": "control", "control": True}, {"name": "green"}],
}


def is_event(message: str | bytes) -> bool:
    """Return whether a window tells what was done in it: an event of socket.io (42) that waits for an answer."""
    return re.match(r'42\d+\["event"', str(message)) is not None


def is_answer(message: str | bytes) -> bool:
    """Return whether the server answers for an event (43)."""
    return str(message).startswith("43")


def test_what_is_typed_and_pressed_before_the_socket_is_up_arrives_in_its_order(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        line = Line(page)
        line.is_heard = lambda _: False
        page.goto("/new")
        page.get_by_label("Key", exact=True).press_sequentially("typed_before_anybody_listened", delay=7)
        fill(page, "Name", "Typed before anybody listened")
        page.get_by_role("button", name="Create and go on").click()
        expect(page.get_by_role("heading", name="New test")).to_be_visible()
        line.is_heard = lambda _: True
        line.tell()
        page.wait_for_url("/tests/typed_before_anybody_listened/settings")
        page.get_by_role("link", name="Overview").click()
        page.wait_for_url(of_test("typed_before_anybody_listened"))
        expect(page.get_by_role("heading", name="Typed before anybody listened")).to_be_visible()


def test_what_was_on_its_way_when_the_connection_broke_arrives_over_the_next_one(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        line = Line(page)
        page.goto("/new")
        fill(page, "Key", "typed_into_a_dead_wire")
        line.wait(lambda: 0 < line.events_said() <= line.answers_heard())
        line.is_said = lambda message: not is_event(message)
        fill(page, "Name", "Typed into a dead wire")
        line.wait(lambda: bool(line.lost))
        line.cut()
        line.is_said = lambda _: True
        line.wait(lambda: line.connections == 2)
        page.get_by_role("button", name="Create and go on").click()
        page.wait_for_url("/tests/typed_into_a_dead_wire/settings")
        page.get_by_role("link", name="Overview").click()
        expect(page.get_by_role("heading", name="Typed into a dead wire")).to_be_visible()


def test_what_the_server_had_done_before_the_connection_broke_is_not_done_again(pages: Pages) -> None:
    settle(pages, "pressed_once", SETTINGS)
    with pages.signed_in("ann") as page:
        line = Line(page)
        page.goto("/tests/pressed_once/settings")
        add = page.get_by_role("button", name="Brackets", exact=True).last
        brackets = page.get_by_role("button", name="Remove the brackets and what is in them")
        line.is_heard = lambda message: not is_answer(message)
        add.click()
        expect(brackets).to_have_count(1)
        said = line.events_said()
        line.cut()
        line.is_heard = lambda _: True
        line.wait(lambda: line.connections == 2 and line.events_said() > said)
        add.click()
        expect(brackets).to_have_count(2)
        line.wait(lambda: line.answers_heard() == line.events_said() - said)
        expect(brackets).to_have_count(2)
