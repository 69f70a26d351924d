"""What the pages tell of a test that was In Dev, overlapped with another, and is somebody's Draft again: nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import httpx
import pytest

from tests.support.pages import PASSWORD, Pages
from tests.support.terminal import wait_until

HIDDEN = "withdrawn_idea"
SEEN = "still_in_dev"
SETTINGS = {
    "starts_at": "2031-01-01",
    "ends_at": "2031-06-01",
    "conditions": [],
    "total_percent": 80,
    "variants": [{"name": "control", "control": True}, {"name": "green"}],
}
PAGES = (
    "/",
    "/?search=withdrawn",
    "/?status=draft",
    "/timeline",
    "/qa",
    "/groups",
    "/operations",
    f"/tests/{SEEN}",
    f"/tests/{SEEN}/settings",
    f"/tests/{SEEN}/charts",
    f"/tests/{SEEN}/changelog",
    f"/tests/{SEEN}/changelog?as_of=2090-01-01T00:00",
)


@contextmanager
def session(pages: Pages, name: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pages.url, timeout=30) as client:
        assert client.post("/api/v1/session", json={"name": name, "password": PASSWORD}).is_success
        yield client


@pytest.fixture(scope="session")  # the pages last as long, and a module may be come back to
def ask(pages: Pages) -> Iterator[Callable[[str, str], httpx.Response]]:
    """Ask for a page as somebody; ann's test was withdrawn, and bob's test overlaps with it."""
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(session(pages, name)) for name in ("ann", "bob", "vera", "sue")}

        def get(name: str, path: str) -> httpx.Response:
            return sessions[name].get(path)

        for name, key in (("ann", HIDDEN), ("bob", SEEN)):
            with pages.commands(name) as (commands, request):
                commands.create(request, key=key, name=key.replace("_", " "))
                commands.propose_settings(request, key, SETTINGS)
                settings = f"/api/v1/tests/{key}/settings"
                wait_until("prepared", partial(is_in_force, sessions[name], settings))
                commands.publish(request, key)
        assert HIDDEN in get("bob", f"/tests/{SEEN}").text, "they overlap, or this shows nothing"
        assert HIDDEN in get("bob", f"/tests/{SEEN}/changelog").text
        with pages.commands("ann") as (commands, request):
            commands.unpublish(request, HIDDEN)
        yield get


def is_in_force(client: httpx.Client, settings: str) -> bool:
    return bool(client.get(settings).json()["settings_group"])


@pytest.mark.parametrize("name", ["bob", "vera"])
def test_no_page_of_others_names_it(ask: Callable[[str, str], httpx.Response], name: str) -> None:
    for path in PAGES:
        answer = ask(name, path)
        assert answer.status_code == httpx.codes.OK, path
        assert HIDDEN not in answer.text.replace("search=withdrawn", ""), path
        assert "withdrawn idea" not in answer.text, path


def test_its_own_pages_are_to_others_as_those_of_a_test_that_never_was(
    ask: Callable[[str, str], httpx.Response],
) -> None:
    for tab in ("", "/settings", "/charts", "/changelog", "/changelog?as_of=2090-01-01T00:00"):
        answer = ask("bob", f"/tests/{HIDDEN}{tab}")
        assert answer.status_code == httpx.codes.NOT_FOUND, tab
        assert "withdrawn idea" not in answer.text, tab
        assert ask("bob", f"/tests/never_made{tab}").status_code == httpx.codes.NOT_FOUND, tab


def test_its_author_and_superusers_see_it(ask: Callable[[str, str], httpx.Response]) -> None:
    assert ask("ann", f"/tests/{HIDDEN}").status_code == httpx.codes.OK
    assert HIDDEN in ask("ann", "/?status=draft").text
    assert HIDDEN in ask("sue", f"/tests/{SEEN}/changelog").text
