"""QA and user groups on the pages, in a real browser; and what a service's visitors get of it, on embedded parts."""

import re
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.support.pages import Pages, choose, fill, settle, users_who
from tests.support.ports import free_port
from tests.support.terminal import ROOT, wait_until

SETTINGS = {
    "starts_at": "2026-01-01",
    "ends_at": "2030-06-01",
    "conditions": [{"filter": "is_test_user", "operator": "eq", "value": "Yes"}],
    "total_percent": 20,
    "variants": [{"name": "control", "control": True}, {"name": "green"}],
}


def test_qa_forces_a_variant_sees_it_in_a_check_and_takes_it_back(pages: Pages) -> None:
    settle(pages, "forced", SETTINGS)
    with pages.signed_in("quinn") as page:
        page.goto("/qa")
        form = page.locator("section", has=page.get_by_role("heading", name="Force a variant", exact=True))
        checks = page.locator("section", has=page.get_by_role("heading", name="Who gets what, and why"))
        form.get_by_label("Id", exact=True).fill("42")
        choose(page, "Environment", "production", within=form)
        choose(page, "Test", "forced", within=form)
        choose(page, "Variant", "green", within=form)
        form.get_by_role("button", name="Force", exact=True).click()
        expect(page.get_by_text("gets green of forced in production")).to_be_visible()

        checks.get_by_label("Id", exact=True).fill("42")
        checks.get_by_role("button", name="Check all tests").click()
        row = checks.get_by_role("row", name=re.compile("^forced"))
        expect(row).to_contain_text("green")
        checks.get_by_label("Id", exact=True).fill("43")
        checks.get_by_role("button", name="Check all tests").click()
        expect(row).to_contain_text("none")

        forced = page.locator(".us-row.between", has_text="gets green of forced in production")
        forced.get_by_role("button", name="Take back").click()
        expect(forced).to_have_count(0)


def test_a_wrong_unit_is_refused_with_its_reason_and_nothing_is_forced(pages: Pages) -> None:
    with pages.signed_in("quinn") as page:
        page.goto("/qa")
        form = page.locator("section", has=page.get_by_role("heading", name="Switch all tests off for a unit"))
        form.get_by_role("button", name="Switch all off").click()
        expect(form.get_by_role("alert").last).to_contain_text("id is empty")
        form.get_by_label("Id", exact=True).fill("autotest-1")
        form.get_by_role("button", name="Switch all off").click()
        expect(page.get_by_text("takes part in no test")).to_be_visible()


def test_a_check_about_nobody_is_refused_rather_than_answered(pages: Pages) -> None:
    settle(pages, "about_somebody", SETTINGS)
    with pages.signed_in("quinn") as page:
        page.goto("/qa")
        checks = page.locator("section", has=page.get_by_role("heading", name="Who gets what, and why"))
        row = checks.get_by_role("row", name=re.compile("^about_somebody"))
        checks.get_by_role("button", name="Check all tests").click()
        expect(checks.get_by_role("alert")).to_contain_text("id is empty")
        expect(row).to_have_count(0)
        checks.get_by_label("Split group, 1 to 2400", exact=True).fill("7")
        checks.get_by_role("button", name="Check all tests").click()
        expect(row).to_contain_text("none")
        expect(checks.get_by_role("alert")).to_have_count(0)


def test_a_viewer_cannot_override(pages: Pages) -> None:
    with pages.signed_in("vera") as page:
        page.goto("/qa")
        expect(page.get_by_text("QA, developers and managers force variants")).to_be_visible()
        expect(page.get_by_role("button", name="Force", exact=True)).to_have_count(0)
        expect(page.get_by_role("button", name="Take back")).to_have_count(0)


def test_a_manager_makes_a_user_group_and_switches_it_on_and_off(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        page.goto("/groups")
        page.get_by_role("button", name="New user group").click()
        fill(page, "Key", "christmas")
        fill(page, "Name", "Christmas presents")
        page.get_by_role("button", name="Create and go on").click()
        page.wait_for_url(re.compile("/groups/christmas$"))
        page.get_by_role("button", name="Condition", exact=True).click()
        choose(page, "Filter", "Country of the profile")
        choose(page, "Values", "Spain")
        page.keyboard.press("Escape")
        spaniards = f"{users_who(pages, 'country_id = 59'):,}"
        expect(page.locator("[data-live=users]")).to_have_text(spaniards)
        page.get_by_role("button", name="Use these conditions").click()
        expect(page.get_by_text("Users, as counted")).to_be_visible()
        page.get_by_role("button", name="Activate", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("whoever meets the conditions is in the group")
        dialog.get_by_role("button", name="Activate", exact=True).click()
        expect(page.locator(".us-head .us-chip")).to_have_text("Active")
        page.get_by_role("link", name="User groups").click()
        row = page.get_by_role("row", name=re.compile("Christmas presents.*Country of the profile is one of Spain"))
        expect(row).to_be_visible()

        def is_counted() -> bool:
            page.reload()
            return row.get_by_text(spaniards, exact=True).count() == 1

        wait_until("the users are counted", is_counted)
        page.get_by_role("link", name="Christmas presents").click()
        page.get_by_role("button", name="Switch off", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Switch off", exact=True).click()
        expect(page.locator(".us-head .us-chip")).to_have_text("Off")


def test_a_user_group_that_is_a_draft_of_others_does_not_exist(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        page.goto("/new-group")
        fill(page, "Key", "hidden")
        fill(page, "Name", "A hidden circle")
        page.get_by_role("button", name="Create and go on").click()
        page.wait_for_url(re.compile("/groups/hidden$"))
    with pages.signed_in("bob") as page:
        page.goto("/groups")
        expect(page.get_by_text("A hidden circle")).to_be_hidden()
        answer = page.goto("/groups/hidden")
        assert answer is not None
        assert answer.status == 404


def shown_to(store: str, user: str) -> object:
    """Return which variant of the pricing test the coconut store shows to a user."""
    variants = httpx.get(f"{store}/coconuts", params={"user": user}).json()["variants"]
    return variants["coconut_pricing"]


def what_the_store_did_is_on_every_page(page: Page) -> None:
    def is_charted() -> bool:
        page.goto("/tests/coconut_pricing/charts?window=hour")
        expect(page.get_by_role("heading", name="Evenness of settings group 1")).to_be_visible()
        return page.get_by_role("img", name="Hits per variant over time").count() == 1

    wait_until("the hits are charted", is_charted)
    expect(page.locator("canvas")).to_be_visible()
    page.get_by_text("The same as numbers").click()
    expect(page.get_by_role("row", name=re.compile(r"^1 (control|expensive|cheap) \d+$")).first).to_be_visible()
    page.goto("/timeline")
    expect(page.get_by_role("row", name=re.compile("What may a coconut cost.*In Dev"))).to_be_visible()
    page.goto("/operations")
    consumers = ["relay", "preparer", "override-expiry", "bi-sink", "dimensions tests,", "code-deployed"]
    for consumer in (*consumers, r"dimensions \(hit reports\)"):
        expect(page.get_by_role("row", name=re.compile(f"^{consumer} .*up to date"))).to_be_visible()


def test_qa_forces_a_variant_on_a_page_and_sees_it_in_the_coconut_store(chromium: Browser, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tests.support.open_store", str(tmp_path / "store"), str(port)]
    with Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        store = process.stdout.readline().strip()
        assert store.startswith("http://127.0.0.1"), "the store did not open"
        user = httpx.post(f"{store}/users", json={"country_id": 59}).json()["id"]
        assert shown_to(store, user) is None

        open_pages = Pages(url=f"http://127.0.0.1:{port}", database_url="", browser=chromium)
        open_pages.wait()
        with open_pages.signed_in("quinn") as page:
            page.goto("/qa")
            form = page.locator("section", has=page.get_by_role("heading", name="Force a variant", exact=True))
            form.get_by_label("Id", exact=True).fill(user)
            choose(page, "Environment", "production", within=form)
            choose(page, "Test", "coconut_pricing", within=form)
            choose(page, "Variant", "expensive", within=form)
            form.get_by_role("button", name="Force", exact=True).click()
            expect(page.get_by_text(f"user:{user} gets expensive of coconut_pricing in production")).to_be_visible()
            wait_until("the store shows what was forced", lambda: shown_to(store, user) == "expensive")
            for _ in range(10):  # what is forced is no traffic; what test users get is
                visitor = httpx.post(f"{store}/users", json={"country_id": 59, "is_test_user": True}).json()["id"]
                shown_to(store, visitor)
            what_the_store_did_is_on_every_page(page)
            page.goto("/qa")
            page.get_by_role("button", name="Take back").click()
            wait_until("the store shows it no more", lambda: shown_to(store, user) is None)
        process.communicate(timeout=60)
    assert process.returncode == 0
