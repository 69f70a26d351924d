"""Accounts and API tokens on the pages, in a real browser: what superusers do, and what everybody does of their own."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import httpx
from playwright.sync_api import Page, expect

from events.database import open_database, write_transaction
from tests.support.chromium import INSECURE_HOST
from tests.support.pages import PASSWORD, Pages, choose, fill
from tests.support.terminal import wait_until

_ADDRESSES = count(1)
OTHER_PASSWORD = "another sentence than before"  # noqa: S105 - of accounts that exist for a test


def answer(page: Page, label: str) -> None:
    """Press a button, read the question, and press its own button of that name."""
    page.get_by_role("button", name=label, exact=True).first.click()
    page.get_by_role("dialog").get_by_role("button", name=label, exact=True).click()


def sign_in(pages: Pages, name: str, password: str) -> httpx.Response:
    """Sign in from an address of its own: wrong passwords count against an address, and all other tests share one."""
    given = {"name": name, "password": password}
    headers = {"X-Forwarded-For": f"10.0.0.{next(_ADDRESSES)}"}
    return httpx.post(f"{pages.url}/api/v1/session", json=given, headers=headers, timeout=30)


def with_token(pages: Pages, token: str) -> int:
    """Return what is answered to a program that asks for the tests with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{pages.url}/api/v1/tests", headers=headers, timeout=30).status_code


def test_a_superuser_makes_an_account_and_its_person_signs_in(pages: Pages) -> None:
    with pages.signed_in("sue") as page:
        page.get_by_role("link", name="Accounts", exact=True).click()
        page.get_by_role("button", name="New account").click()
        fill(page, "Password", OTHER_PASSWORD)
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_text("cannot be the name of an account")).to_be_visible()
        fill(page, "Name", "Ann")
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_text("There is an account 'ann' already")).to_be_visible()
        fill(page, "Name", "Dora")
        fill(page, "Password", "short")
        page.get_by_role("button", name="Make the account").click()
        expect(page.get_by_text("A password has 10 to 200 characters")).to_be_visible()
        assert sign_in(pages, "dora", "short").status_code == httpx.codes.UNAUTHORIZED
        fill(page, "Password", OTHER_PASSWORD)
        choose(page, "Role", "developer: creates Drafts as well")
        page.get_by_role("button", name="Make the account").dblclick()
        page.wait_for_url(re.compile("/accounts/dora$"))
        expect(page.locator(".us-head")).to_contain_text("Signs in by password")
        assert sign_in(pages, "dora", OTHER_PASSWORD).json()["role"] == "developer"

        page.goto("/accounts")
        page.get_by_label("Search").fill("DOR")
        expect(page.get_by_role("row", name=re.compile("^dora developer password"))).to_be_visible()
        expect(page.get_by_role("row")).to_have_count(2)


def test_a_superuser_changes_a_role_a_password_and_the_sessions_of_somebody(pages: Pages) -> None:
    pages.account("emil", "viewer")
    with pages.signed_in("sue") as page, pages.signed_in("emil") as emil:
        expect(emil.get_by_role("button", name="New test")).to_have_count(0)
        page.goto("/accounts/emil")
        choose(page, "Role", "manager: edits and steers the tests they manage as well")
        answer(page, "Change role")
        expect(page.locator(".us-head .us-chip")).to_have_text("manager")
        expect(emil.get_by_role("button", name="New test")).to_be_visible()  # his page is made anew

        answer(page, "End sessions")
        expect(page.get_by_role("dialog")).to_have_count(0)
        emil.wait_for_url(re.compile("/login$"))

        page.get_by_role("button", name="Set a password", exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("New password", exact=True).fill("short")
        dialog.get_by_role("button", name="Set a password", exact=True).click()
        expect(dialog.get_by_text("A password has 10 to 200 characters")).to_be_visible()
        dialog.get_by_label("New password", exact=True).fill(OTHER_PASSWORD)
        dialog.get_by_role("button", name="Set a password", exact=True).click()
        expect(dialog).to_have_count(0)
        assert sign_in(pages, "emil", PASSWORD).status_code == httpx.codes.UNAUTHORIZED
        assert sign_in(pages, "emil", OTHER_PASSWORD).is_success


def test_a_closed_account_opens_nothing_until_it_is_opened(pages: Pages) -> None:
    pages.account("fred", "qa")
    with pages.signed_in("sue") as page:
        page.goto("/accounts/fred")
        answer(page, "Close")
        expect(page.locator(".us-head")).to_contain_text("closed")
        assert sign_in(pages, "fred", PASSWORD).status_code == httpx.codes.UNAUTHORIZED
        answer(page, "Open")
        expect(page.locator(".us-head")).not_to_contain_text("closed")
        assert sign_in(pages, "fred", PASSWORD).is_success

        answer(page, "Identity provider only")
        expect(page.locator(".us-head")).to_contain_text("Waits for whoever has its name at the identity provider")
        assert sign_in(pages, "fred", PASSWORD).status_code == httpx.codes.UNAUTHORIZED


def test_the_last_superuser_stays_one(pages: Pages) -> None:
    with pages.signed_in("sue") as page:
        page.goto("/accounts/sue")
        choose(page, "Role", "viewer: sees tests, changelogs and who gets what")
        answer(page, "Change role")
        said = page.get_by_role("dialog").get_by_role("alert")
        expect(said).to_have_text("Sue is the last superuser; make another one first.")
        page.get_by_role("button", name="Cancel").click()
        answer(page, "Close")
        expect(said).to_have_text("Sue is the last superuser; make another one first.")


def test_an_account_that_another_superuser_changed_meanwhile_is_left_as_it_is(pages: Pages) -> None:
    pages.account("mona", "viewer")
    with pages.signed_in("sue") as page:
        page.goto("/accounts/mona")
        page.get_by_role("button", name="Close", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        pages.change_account("mona", role="manager")
        dialog.get_by_role("button", name="Close", exact=True).click()
        expect(dialog.get_by_role("alert")).to_contain_text("Somebody changed it in the meantime")
    assert sign_in(pages, "mona", PASSWORD).json()["role"] == "manager"


def test_accounts_are_not_offered_to_others_and_refused_when_forced(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        expect(page.get_by_role("link", name="Accounts", exact=True)).to_have_count(0)
        for address in ("/accounts", "/accounts/vera", "/new-account"):
            answered = page.goto(address)
            assert answered is not None
            assert answered.status == httpx.codes.FORBIDDEN, address
            expect(page.get_by_text("Ann may not administer: the role manager does not include it")).to_be_visible()
            expect(page.get_by_text("vera")).to_have_count(0)


def test_a_page_of_accounts_does_nothing_for_who_is_no_superuser_any_more(pages: Pages) -> None:
    pages.account("gina", "superuser")
    pages.account("hans", "viewer")
    with pages.signed_in("gina") as page:
        page.goto("/accounts/hans")
        page.get_by_role("button", name="Close", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        pages.change_account("gina", role="viewer")
        dialog.get_by_role("button", name="Close", exact=True).click()
        # Either she is refused, or her page was made anew for a viewer meanwhile: who sees no accounts.
        expect(page.get_by_text("Gina may not administer").first).to_be_visible()
    assert sign_in(pages, "hans", PASSWORD).is_success


@contextmanager
def own_page(pages: Pages, name: str) -> Iterator[Page]:
    pages.account(name, "developer")
    with pages.signed_in(name) as page:
        page.get_by_role("link", name=f"{name} · developer").click()
        expect(page.get_by_role("heading", name="Your account")).to_be_visible()
        yield page


def test_a_person_makes_a_token_that_is_shown_once_and_takes_it_back(pages: Pages) -> None:
    with own_page(pages, "ida") as page:
        make = page.get_by_role("button", name="Make a token")
        make.click()
        expect(page.get_by_text("A token needs at least one scope")).to_be_visible()
        page.get_by_role("checkbox", name=re.compile("^read:")).click()
        make.click()
        expect(page.get_by_text("A token needs a label")).to_be_visible()
        expect(page.get_by_text("A token needs at least one scope")).to_have_count(0)
        expect(page.get_by_role("checkbox", name=re.compile("^administer"))).to_have_count(0)  # she may not herself
        fill(page, "What it is for", "<b>her</b> autotests")
        choose(page, "It ends", "in 30 days")
        make.click()
        shown = page.get_by_label("The new token")
        expect(shown).to_have_value(re.compile("^usersplit_"))
        token = shown.input_value()
        line = page.locator(".us-line", has_text="<b>her</b> autotests")
        expect(line).to_contain_text(re.compile(r"made .*, ends \d{4}-.* UTC, never used"))
        assert with_token(pages, token) == httpx.codes.OK
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()

        def says_when_it_was_used() -> bool:
            page.reload()
            expect(line).to_be_visible()
            return "last used 2" in line.inner_text()

        wait_until("the page says when the token was used", says_when_it_was_used)
        assert token not in page.content()
        page.get_by_role("button", name="Revoke <b>her</b> autotests").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
        expect(line).to_have_count(0)
        expect(page.get_by_text("1 that is over")).to_be_visible()
        assert with_token(pages, token) == httpx.codes.UNAUTHORIZED


def test_a_token_is_copied_by_the_older_way_where_pages_come_without_https(pages: Pages) -> None:
    pages.account("olaf", "developer")
    address = pages.url.replace("127.0.0.1", INSECURE_HOST)
    with pages.signed_in("olaf", base_url=address) as page:
        page.goto("/me")
        assert page.evaluate("[window.isSecureContext, typeof navigator.clipboard]") == [False, "undefined"]
        fill(page, "What it is for", "autotests")
        page.get_by_role("checkbox", name=re.compile("^read:")).click()
        page.get_by_role("button", name="Make a token").click()
        token = page.get_by_label("The new token").input_value()
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        label = page.get_by_label("What it is for")
        expect(label).to_have_value("")
        label.press("Control+V")
        expect(label).to_have_value(token)

        # Where a browser lets no script copy, the token stays marked, and the button says what to press.
        page.reload()
        page.evaluate("document.execCommand = () => false")
        fill(page, "What it is for", "more autotests")
        page.get_by_role("checkbox", name=re.compile("^read:")).click()
        page.get_by_role("button", name="Make a token").click()
        token = page.get_by_label("The new token").input_value()
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Press Ctrl+C")).to_be_visible()
        page.keyboard.press("Control+C")
        label.press("Control+V")
        expect(label).to_have_value(token)


@contextmanager
def no_tokens_table(pages: Pages) -> Iterator[None]:
    """The database answers everything about tokens with an error."""
    engine = open_database(pages.database_url)

    def rename(before: str, after: str) -> None:
        with write_transaction(engine) as connection:
            connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")

    rename("api_tokens", "elsewhere")
    try:
        yield
    finally:
        rename("elsewhere", "api_tokens")
        engine.dispose()


def test_a_database_that_does_not_answer_is_said_and_the_button_can_be_pressed_again(pages: Pages) -> None:
    with own_page(pages, "pia") as page:
        fill(page, "What it is for", "autotests")
        page.get_by_role("checkbox", name=re.compile("^read:")).click()
        away = page.get_by_text("The database does not answer")
        with no_tokens_table(pages):
            page.get_by_role("button", name="Make a token").click()
            expect(away).to_be_visible()
        page.get_by_role("button", name="Make a token").click()
        expect(page.get_by_label("The new token")).to_be_visible()

        page.get_by_role("button", name="Revoke autotests").click()
        revoke = page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True)
        with no_tokens_table(pages):
            revoke.click()
            expect(page.get_by_role("dialog").get_by_text("The database does not answer")).to_be_visible()
        revoke.click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_text("1 that is over")).to_be_visible()


def test_a_superuser_takes_back_somebody_s_token(pages: Pages) -> None:
    with own_page(pages, "jana") as page:
        fill(page, "What it is for", "lost laptop")
        page.get_by_role("checkbox", name=re.compile("^read:")).click()
        page.get_by_role("button", name="Make a token").click()
        token = page.get_by_label("The new token").input_value()
    with pages.signed_in("sue") as page:
        page.goto("/accounts")
        expect(page.get_by_role("row", name=re.compile("^jana developer password 1 "))).to_be_visible()
        page.get_by_role("link", name="jana", exact=True).click()
        page.get_by_role("button", name="Revoke lost laptop").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
        expect(page.get_by_text("1 that is over")).to_be_visible()
        assert with_token(pages, token) == httpx.codes.UNAUTHORIZED


def test_a_person_changes_the_own_password_and_signs_in_with_the_new_one(pages: Pages) -> None:
    with own_page(pages, "kurt") as page:
        fill(page, "Password until now", "not what it is")
        fill(page, "New password", OTHER_PASSWORD)
        page.get_by_role("button", name="Change my password").click()
        expect(page.get_by_text("This is not your password.")).to_be_visible()
        fill(page, "Password until now", PASSWORD)
        fill(page, "New password", "short")
        page.get_by_role("button", name="Change my password").click()
        expect(page.get_by_text("A password has 10 to 200 characters")).to_be_visible()
        fill(page, "New password", OTHER_PASSWORD)
        page.get_by_role("button", name="Change my password").click()
        page.wait_for_url(re.compile(r"/login\?next=/me$"))
        page.get_by_label("Name").fill("kurt")
        page.get_by_label("Password").fill(OTHER_PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Your account")).to_be_visible()


def test_a_person_signs_out_everywhere(pages: Pages) -> None:
    with own_page(pages, "lena") as page, pages.signed_in("lena") as other:
        answer(page, "Sign out everywhere")
        page.wait_for_url(re.compile("/login$"))
        other.goto("/me")
        other.wait_for_url(re.compile("/login"))
