"""People who are faster than the page's web socket: nothing they do is lost, and nothing overtakes what came before."""

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.support.pages import Pages, fill, of_test


class HeldBack:
    """The web sockets of a window, through which nothing comes from the server until they are let go."""

    def __init__(self, page: Page) -> None:
        self._said: list[tuple[WebSocketRoute, str | bytes]] = []
        self._are_held = True
        page.route_web_socket("**/_nicegui_ws/**", self._route)

    def _route(self, ws: WebSocketRoute) -> None:
        server = ws.connect_to_server()
        server.on_message(lambda message: self._hear(ws, message))

    def _hear(self, ws: WebSocketRoute, message: str | bytes) -> None:
        if self._are_held:
            self._said.append((ws, message))
        else:
            ws.send(message)

    def let_go(self) -> None:
        """Tell what was said meanwhile, and hold nothing back any more."""
        self._are_held = False
        for ws, message in self._said:
            ws.send(message)


def test_what_is_typed_and_pressed_before_the_socket_is_up_arrives_in_its_order(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        sockets = HeldBack(page)
        page.goto("/new")
        page.get_by_label("Key", exact=True).press_sequentially("typed_before_anybody_listened", delay=7)
        fill(page, "Name", "Typed before anybody listened")
        page.get_by_role("button", name="Create and go on").click()
        expect(page.get_by_role("heading", name="New test")).to_be_visible()
        sockets.let_go()
        page.wait_for_url("/tests/typed_before_anybody_listened/settings")
        page.get_by_role("link", name="Overview").click()
        page.wait_for_url(of_test("typed_before_anybody_listened"))
        expect(page.get_by_role("heading", name="Typed before anybody listened")).to_be_visible()
