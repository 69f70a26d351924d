"""The guests' cookie, and the middleware that keeps it."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from usersplit import Guest, split_group_to_cookie
from usersplit.guests import AsgiGuests, GuestCookie, InvalidCookie, NoGuestMiddleware, WsgiGuests, guest_of

SECRET, OTHER = "a secret of 16 bytes and more", "another secret of that length"
NAME = "usersplit_guest"
PLAIN, SIGNED = GuestCookie(), GuestCookie(secrets=[SECRET])


def sent(cookie: GuestCookie, guest: Guest, *, is_https: bool = True) -> str:
    """Return the header by which a browser sends back what `cookie` wrote."""
    return cookie.write(guest, is_https=is_https).partition(";")[0]


def who(guest: Guest | None) -> tuple[int, object] | None:
    return None if guest is None else (guest.split_group, guest.id)


@pytest.mark.parametrize("cookie", [PLAIN, SIGNED])
def test_a_guest_comes_back_as_the_same(cookie: GuestCookie) -> None:
    guest = cookie.draw()
    assert 1 <= guest.split_group <= 2400
    assert who(cookie.read(sent(cookie, guest))) == who(guest)
    assert who(cookie.read(f'other=1; {sent(cookie, guest)}; third="x"')) == who(guest)


def test_two_guests_are_two() -> None:
    assert len({PLAIN.draw().id for _ in range(50)}) == 50


@given(text=st.text(st.characters() | st.characters(categories=["Cs"]), max_size=60))  # lone surrogates no codec takes
def test_whatever_a_cookie_holds_it_is_a_guest_or_none(text: str) -> None:
    for header in (text, f"{NAME}={text}", f"{NAME}=7.{text}", f"{NAME}={text}.x"):
        assert SIGNED.read(header) is None
        assert 1 <= SIGNED.draw(header).split_group <= 2400
        guest = PLAIN.read(header)
        assert guest is None or 1 <= guest.split_group <= 2400
        assert 1 <= PLAIN.draw(header).split_group <= 2400


@pytest.mark.parametrize(
    "value", ["", "0", "2401", "01207", "12.x", "-1", "1207.short", "١٢", "\ud800.x", "7.\udcff.x"]
)
def test_a_strange_cookie_is_none(value: str) -> None:
    assert PLAIN.read(f"{NAME}={value}") is None
    assert SIGNED.read(f"{NAME}={value}") is None


def test_a_forged_group_is_refused_where_cookies_are_signed() -> None:
    guest = SIGNED.draw()
    header = sent(SIGNED, guest)
    other_group = 1 + guest.split_group % 2400
    assert SIGNED.read(header.replace(f"={guest.split_group}.", f"={other_group}.")) is None
    assert SIGNED.read(sent(PLAIN, guest)) is None
    assert SIGNED.read(sent(GuestCookie(secrets=[OTHER]), guest)) is None


def test_a_signature_is_good_for_its_own_cookie_only() -> None:
    elsewhere = GuestCookie(name="basket", secrets=[SECRET])
    assert SIGNED.read(sent(elsewhere, elsewhere.draw()).replace("basket=", f"{NAME}=")) is None


def test_secrets_can_be_exchanged() -> None:
    guest = SIGNED.draw()
    both = GuestCookie(secrets=[OTHER, SECRET])
    assert who(both.read(sent(SIGNED, guest))) == who(guest)
    assert who(GuestCookie(secrets=[OTHER]).read(sent(both, guest))) == who(guest)


def test_a_service_can_go_over_to_signed_cookies_and_back() -> None:
    guest = PLAIN.draw()
    over = GuestCookie(secrets=[SECRET], accept_unsigned=True)
    assert who(over.read(sent(PLAIN, guest))) == who(guest)
    assert who(over.read(sent(SIGNED, guest))) == who(guest)
    assert who(PLAIN.read(sent(SIGNED, guest))) == who(guest)


def test_the_number_alone_keeps_its_group_and_gets_an_id() -> None:
    header = f"{NAME}={split_group_to_cookie(1207)}"
    assert PLAIN.read(header) is None
    guest = PLAIN.draw(header)
    assert guest.split_group == 1207
    assert guest.id


def test_of_two_cookies_the_one_that_can_be_read_counts() -> None:
    guest = SIGNED.draw()
    assert who(SIGNED.read(f"{NAME}=7.x.y; {sent(SIGNED, guest)}")) == who(guest)


def test_the_attributes_are_those_that_were_asked_for() -> None:
    guest = Guest(split_group=7, id="A" * 22)
    assert PLAIN.write(guest, is_https=False) == (
        f"{NAME}=7.{'A' * 22}; Path=/; Max-Age=34560000; SameSite=Lax; HttpOnly"
    )
    cookie = GuestCookie(
        name="__Secure-g",
        lifetime=timedelta(days=30),
        same_site="None",
        secure=True,
        http_only=False,
        path="/shop",
        domain="example.org",
    )
    assert cookie.write(guest, is_https=False) == (
        f"__Secure-g=7.{'A' * 22}; Path=/shop; Max-Age=2592000; SameSite=None; Domain=example.org; Secure"
    )
    assert GuestCookie(secure=False).write(guest, is_https=True).endswith("HttpOnly")
    assert PLAIN.write(guest, is_https=True).endswith("; Secure")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "a b"}, "no name of a cookie"),
        ({"secrets": ["short"]}, "16 bytes"),
        ({"secrets": SECRET}, "a list"),
        ({"lifetime": timedelta(0)}, "ends before"),
        ({"same_site": "lax"}, "Lax, Strict or None"),
        ({"same_site": "None"}, "secure=True"),
        ({"name": "__Host-g"}, "secure=True"),
        ({"name": "__Host-g", "secure": True, "path": "/shop"}, "another path"),
        ({"path": "shop"}, "start with a slash"),
        ({"domain": "a; Secure"}, "hold ;"),
    ],
)
def test_a_setting_that_browsers_refuse_is_refused_at_once(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidCookie, match=sentence):
        GuestCookie(**settings)


def greet(environ: Any, start_response: Any) -> Iterable[bytes]:
    """Answer with the guest, or, below /static, without asking for one."""
    asks = not environ["PATH_INFO"].startswith("/static")
    guest = guest_of(environ) if asks else None
    start_response("200 OK", [("Content-Type", "text/plain"), ("Vary", environ.get("HTTP_X_VARY", "Accept"))])
    return [f"{who(guest)}".encode()]


def test_wsgi_sets_the_cookie_once_and_knows_the_guest_again() -> None:
    browser = Client(WsgiGuests(greet, SIGNED))
    first = browser.get("/")
    assert first.headers["Cache-Control"] == "private"
    assert first.headers.getlist("Vary") == ["Accept", "Cookie"]
    second = browser.get("/")
    assert second.text == first.text != "None"
    assert "Set-Cookie" not in second.headers
    assert second.headers.getlist("Vary") == ["Accept", "Cookie"]
    assert Client(WsgiGuests(greet, SIGNED)).get("/").text != first.text


def test_a_response_that_nobody_asked_for_a_guest_stays_as_it_was() -> None:
    response = Client(WsgiGuests(greet)).get("/static/logo")
    assert response.headers.getlist("Vary") == ["Accept"]
    assert "Set-Cookie" not in response.headers
    assert "Cache-Control" not in response.headers


def test_the_header_vary_is_not_repeated() -> None:
    response = Client(WsgiGuests(greet)).get("/", headers={"X-Vary": "Accept, cookie"})
    assert response.headers.getlist("Vary") == ["Accept, cookie"]


def test_a_cookie_is_secure_if_the_request_was() -> None:
    cookies = [
        Client(WsgiGuests(greet)).get("/", base_url=f"{scheme}://shop.example").headers["Set-Cookie"]
        for scheme in ("https", "http")
    ]
    assert ["Secure" in cookie for cookie in cookies] == [True, False]


def test_a_guest_asked_for_too_late_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    def streams(environ: Any, start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [])
        assert write is not None
        yield b"begun "
        yield f"{who(guest_of(environ))}".encode()

    response = Client(WsgiGuests(streams)).get("/")
    assert response.text.startswith("begun (")
    assert "Set-Cookie" not in response.headers
    assert "after the response began" in caplog.text


def test_without_the_middleware_the_error_says_what_to_do() -> None:
    with pytest.raises(NoGuestMiddleware, match="Wrap the application"):
        guest_of({})


def test_a_service_may_know_the_guest_by_an_id_of_its_own() -> None:
    seen: list[Guest] = []

    def names(environ: Any, start_response: Any) -> Iterable[bytes]:
        seen.extend([guest_of(environ), guest_of(environ, id="session-1"), guest_of(environ, device_id="d-1")])
        start_response("204 No Content", [])
        return []

    Client(WsgiGuests(names)).get("/")
    plain, by_session, on_device = seen
    assert who(by_session) == (plain.split_group, "session-1")
    assert who(on_device) == who(plain)
    assert on_device.device_id == "d-1"


async def greet_by_asgi(scope: Any, receive: Any, send: Any) -> None:
    del receive
    greeting = f"{who(guest_of(scope))}".encode()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": greeting.decode()})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Accept")]})
        await send({"type": "http.response.body", "body": greeting})


def test_asgi_does_the_same_for_pages() -> None:
    async def visit() -> list[httpx.Response]:
        transport = httpx.ASGITransport(AsgiGuests(greet_by_asgi, SIGNED))
        async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as browser:
            return [await browser.get("/"), await browser.get("/")]

    first, second = asyncio.run(visit())
    assert "Secure" in first.headers["Set-Cookie"]
    assert first.headers["Cache-Control"] == "private"
    assert first.headers.get_list("Vary") == ["Accept", "Cookie"]
    assert second.text == first.text != "None"
    assert "Set-Cookie" not in second.headers


def test_fastapi_takes_it_as_a_middleware() -> None:
    application = FastAPI()
    application.add_middleware(AsgiGuests, cookie=SIGNED)

    @application.get("/")
    def page(request: Request) -> str:
        return f"{who(guest_of(request.scope))}"

    async def visit() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://shop") as browser:
            return [await browser.get("/"), await browser.get("/")]

    first, second = asyncio.run(visit())
    assert second.json() == first.json() != "None"


def test_a_websocket_sets_the_cookie_with_its_handshake() -> None:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise AssertionError("not called")

    scope = {"type": "websocket", "scheme": "wss", "headers": []}
    asyncio.run(AsgiGuests(greet_by_asgi, SIGNED)(scope, receive, send))
    accepted, greeting = messages
    cookie = dict(accepted["headers"])[b"set-cookie"].decode()
    assert "; Secure" in cookie
    assert f"{who(SIGNED.read(cookie.partition(';')[0]))}" == greeting["text"] != "None"


def test_asgi_reads_a_header_in_pieces_and_leaves_other_scopes_alone() -> None:
    guest = PLAIN.draw()
    seen: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        del receive, send
        seen.append(who(guest_of(scope)) if scope["type"] == "http" else scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError("not called")

    async def both() -> None:
        middleware = AsgiGuests(application)
        pieces = [(b"cookie", b"a=1"), (b"cookie", sent(PLAIN, guest).encode())]
        await middleware({"type": "http", "headers": pieces}, nothing, nothing)
        await middleware({"type": "lifespan"}, nothing, nothing)

    asyncio.run(both())
    assert seen == [who(guest), "lifespan"]
