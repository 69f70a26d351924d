"""What operators do on their page, in a real browser; and that others look and do not act."""

import re

from playwright.sync_api import Page, expect

from tests.support.pages import Pages, choose


def act(page: Page, action: str) -> None:
    """Press a button of the page, read what it will do, and do it."""
    page.get_by_role("button", name=action, exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{action} “overrides”?")
    dialog.get_by_role("button", name=action, exact=True).click()


def test_a_superuser_pauses_resumes_and_rebuilds_a_projection(pages: Pages) -> None:
    with pages.signed_in("sue") as page:
        page.goto("/operations")
        row = page.get_by_role("row", name=re.compile("^overrides "))
        expect(row).to_contain_text("live")
        choose(page, "Projection", "overrides")
        act(page, "Pause")
        expect(row).to_contain_text("an operator paused it")
        expect(page.get_by_role("dialog")).to_have_count(0)

        act(page, "Pause")
        expect(page.get_by_role("alert").filter(has_text="overrides")).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)

        act(page, "Resume")
        expect(row).not_to_contain_text("paused")
        generation = row.get_by_role("cell").nth(2)
        before = int(generation.inner_text())
        act(page, "Rebuild")
        newest = page.get_by_role("row", name=re.compile(f"^overrides live {before + 1} "))
        expect(newest).to_be_visible()


def test_others_see_where_everything_stands_and_do_not_act(pages: Pages) -> None:
    with pages.signed_in("vera") as page:
        page.goto("/operations")
        expect(page.get_by_role("row", name=re.compile("^changelog live"))).to_be_visible()
        expect(page.get_by_role("row", name=re.compile("^relay .*facts"))).to_be_visible()
        expect(page.get_by_role("row", name=re.compile("^bi-sink .*not known.*BOOTSTRAP_SERVERS"))).to_be_visible()
        for action in ("Pause", "Resume", "Rebuild"):
            expect(page.get_by_role("button", name=action, exact=True)).to_have_count(0)
