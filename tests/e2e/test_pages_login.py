"""Who is let in to the pages, tried in a real browser and by hand-made requests."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import expect

from domain.errors import SplitTestNotFound
from tests.support.identity_provider import identity_provider
from tests.support.pages import PASSWORD, Pages, does_not_leave, fill

LOGIN = re.compile(r"/login\?next=")


def test_a_stranger_sees_the_login_and_is_led_on_to_the_page_they_wanted(pages: Pages) -> None:
    with pages.stranger() as page:
        page.goto("/?search=green")
        expect(page.get_by_role("heading", name="Sign in to UserSplit")).to_be_visible()
        page.get_by_label("Name").fill("ann")
        page.get_by_label("Password").fill("something else entirely")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("name or the password is wrong")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/\?search=green$"))
        expect(page.get_by_role("heading", name="Tests", exact=True)).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(re.compile("/login$"))
        page.goto("/")
        expect(page.get_by_role("heading", name="Sign in to UserSplit")).to_be_visible()


def test_the_login_leads_to_addresses_of_its_own_site_only(pages: Pages) -> None:
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        page = httpx.get(f"{pages.url}/login", params={"next": target}).text
        assert 'data-next="/"' in page, target


def test_an_address_of_programs_answers_as_programs_expect(pages: Pages) -> None:
    answer = httpx.get(f"{pages.url}/api/v1/no-such-thing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_no_site_can_put_a_page_into_a_frame(pages: Pages) -> None:
    answer = httpx.get(f"{pages.url}/login")
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


@contextmanager
def session_of(pages: Pages, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pages.url) as client:
        answer = client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == httpx.codes.OK, answer.text
        yield client


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null"])
def test_a_page_of_another_site_gets_no_socket_for_somebodys_session(pages: Pages, origin: str | None) -> None:
    with session_of(pages, "ann") as client:
        headers = {} if origin is None else {"origin": origin}
        answer = client.get("/_nicegui_ws/socket.io/?EIO=4&transport=polling", headers=headers)
        assert answer.status_code == httpx.codes.FORBIDDEN
        own = client.get("/_nicegui_ws/socket.io/?EIO=4&transport=polling", headers={"origin": pages.url})
        assert own.status_code == httpx.codes.OK


def test_a_page_made_for_one_person_cannot_be_driven_by_another(pages: Pages) -> None:
    with session_of(pages, "ann") as ann, session_of(pages, "vera") as vera:
        made = re.search(r"'client_id': '([^']+)'", ann.get("/").text)
        assert made is not None
        address = f"/_nicegui_ws/socket.io/?EIO=4&transport=polling&client_id={made[1]}"
        assert vera.get(address, headers={"origin": pages.url}).status_code == httpx.codes.FORBIDDEN
        assert ann.get(address, headers={"origin": pages.url}).status_code == httpx.codes.OK


def test_a_stranger_gets_no_socket(pages: Pages) -> None:
    answer = httpx.get(f"{pages.url}/_nicegui_ws/socket.io/?EIO=4&transport=polling", headers={"origin": pages.url})
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_an_open_page_can_neither_act_nor_read_once_its_session_has_ended(pages: Pages) -> None:
    with pages.signed_in("bob") as form:
        context = form.context
        form.goto("/new")
        listing, other = context.new_page(), context.new_page()
        listing.goto("/?search=nothing")
        expect(listing.get_by_role("heading", name="Tests", exact=True)).to_be_visible()
        for page in (form, listing):
            does_not_leave(page, LOGIN)
        other.goto("/timeline")
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_url(re.compile("/login$"))
        fill(form, "Key", "after_the_end")
        fill(form, "Name", "Made by nobody")
        form.get_by_role("button", name="Create and go on").click()
        expect(form.get_by_text("Your session has ended, and nothing was done. Sign in again.")).to_be_visible()
        fill(listing, "Search", "anything")
        listing.unroute(LOGIN)
        listing.wait_for_url(LOGIN)
    with pages.commands("bob") as (commands, request), pytest.raises(SplitTestNotFound):
        commands.publish(request, "after_the_end")


def test_an_open_page_acts_with_the_role_that_its_person_has_now(pages: Pages) -> None:
    pages.account("demoted", "developer")
    with pages.signed_in("demoted") as page:
        page.goto("/new")
        does_not_leave(page, re.compile("/new$"))
        pages.change_account("demoted", role="viewer")
        fill(page, "Key", "too_late")
        fill(page, "Name", "By a viewer")
        page.get_by_role("button", name="Create and go on").click()
        expect(page.get_by_text("may not create")).to_be_visible()


KEEP_BACK = """() => {
    const emit = window.socket.emit.bind(window.socket);
    window.kept = [];
    window.send = emit;
    window.socket.emit = (name, ...rest) => name === "event" ? window.kept.push(rest[0]) : emit(name, ...rest);
}"""
"""Lets a page keep what it would tell of a click, so that it can be sent by somebody else."""


def test_a_button_of_somebody_s_page_cannot_be_pressed_through_another_person_s_socket(pages: Pages) -> None:
    with pages.signed_in("ann") as ann, pages.signed_in("bob") as bob:
        ann.goto("/new")
        fill(ann, "Key", "pressed_by_another")
        fill(ann, "Name", "Whose click was it?")
        ann.evaluate(KEEP_BACK)
        ann.get_by_role("button", name="Create and go on").click()
        (click,) = ann.evaluate("window.kept.filter((event) => event.client_id === window.clientId).slice(-1)")
        bob.evaluate("(click) => window.socket.emit('event', click)", click)
        # What bob's socket says next is heard after it.
        fill(bob, "Search", "no such thing")
        bob.wait_for_url(re.compile("search=no"))
        with pages.commands("ann") as (commands, request), pytest.raises(SplitTestNotFound):
            commands.publish(request, "pressed_by_another")
        ann.evaluate("(click) => window.send('event', click)", click)
        ann.wait_for_url(re.compile("/tests/pressed_by_another/settings$"))


def test_a_person_signs_in_and_out_with_the_company_s_identity_provider(pages: Pages, node: str) -> None:
    with (
        pages.stranger() as page,
        identity_provider(node, public_url=pages.url, port=pages.provider_port) as provider,
    ):
        provider.knows("u1", preferred_username="Nina", groups=["product"])
        provider.knows("u2", preferred_username="Otto", groups=["elsewhere"])

        def at_the_provider(name: str) -> None:
            page.get_by_role("link", name="Sign in with Example ID").click()
            page.get_by_placeholder("Enter any login").fill(name)
            page.get_by_placeholder("and password").fill("anything")
            page.get_by_role("button", name="Sign-in").click()
            page.get_by_role("button", name="Continue").click()

        page.goto("/?search=green")
        at_the_provider("u1")
        page.wait_for_url(f"{pages.url}/?search=green")
        expect(page.get_by_role("button", name="New test")).to_be_visible()
        expect(page.locator(".us-me")).to_contain_text("nina · manager")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Yes, sign me out").click()
        page.wait_for_url(f"{pages.url}/login*")
        at_the_provider("u2")
        expect(page.get_by_role("alert")).to_contain_text("nothing in your 'groups' stands for a role here")
        expect(page.get_by_role("heading", name="Sign in to UserSplit")).to_be_visible()


def test_who_signs_out_at_the_company_s_identity_provider_is_signed_out_here_too(pages: Pages, node: str) -> None:
    with (
        pages.stranger() as page,
        pages.signed_in("ann") as ann,
        identity_provider(node, public_url=pages.url, port=pages.provider_port) as provider,
    ):
        provider.knows("u3", preferred_username="Petra", groups=["product"])
        page.goto("/")
        page.get_by_role("link", name="Sign in with Example ID").click()
        page.get_by_placeholder("Enter any login").fill("u3")
        page.get_by_placeholder("and password").fill("anything")
        page.get_by_role("button", name="Sign-in").click()
        page.get_by_role("button", name="Continue").click()
        expect(page.locator(".us-me")).to_contain_text("petra · manager")

        there = page.context.new_page()
        there.goto(f"{provider.issuer}/session/end")
        there.get_by_role("button", name="Yes, sign me out").click()
        page.wait_for_url(re.compile("/login$"))  # by itself
        page.goto("/me")
        page.wait_for_url(re.compile("/login"))
        ann.reload()
        expect(ann.locator(".us-me")).to_contain_text("ann · manager")
