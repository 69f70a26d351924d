"""What managers and viewers do on the pages, in a real browser: the life of a test, and two people at once."""

import re
from urllib.parse import quote

from playwright.sync_api import Page, expect

from tests.support.pages import Pages, choose, fill, settle

CONDITIONS = [{"filter": "country_id", "operator": "in", "value": ["50"]}]
SETTINGS = {
    "starts_at": "2026-01-01",
    "ends_at": "2030-06-01",
    "conditions": CONDITIONS,
    "total_percent": 20,
    "variants": [{"name": "control", "control": True}, {"name": "green"}],
}


def step(page: Page, name: str) -> None:
    """Press the button of a step, read what it will do, and do it."""
    # Twice each, as people in a hurry do: it happens once, and nobody is told of an error.
    page.get_by_role("button", name=name, exact=True).first.dblclick()
    page.get_by_role("dialog").get_by_role("button", name=name, exact=True).dblclick()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".us-error:not(:empty)")).to_have_count(0)


def status(page: Page, name: str) -> None:
    expect(page.locator(".us-head .us-chip").first).to_have_text(name)


def proposed(page: Page, settings_group: int) -> None:
    """Propose the settings on the page, and wait until they are in force."""
    page.get_by_role("button", name="Propose these settings").dblclick()
    page.wait_for_url(re.compile(r"/tests/[^/]+$"))
    expect(page.locator("dl.us").first).to_contain_text(f"Settings group{settings_group}")


def test_a_manager_takes_a_test_through_its_whole_life(pages: Pages) -> None:
    with pages.signed_in("ann") as page:
        page.get_by_role("button", name="New test").click()
        fill(page, "Key", "green button")
        fill(page, "Name", "Does a green button sell more?")
        page.get_by_role("button", name="Create and go on").click()
        expect(page.get_by_text("cannot be a key")).to_be_visible()
        fill(page, "Key", "green_button")
        fill(page, "Issue", "WEB-123")
        page.get_by_role("button", name="Create and go on").click()
        page.wait_for_url(re.compile("/tests/green_button/settings$"))

        # Test users, or new users from Russia: the conditions of the article that UserSplit re-creates.
        page.get_by_role("button", name="Condition", exact=True).click()
        page.get_by_role("button", name="Brackets", exact=True).click()
        page.get_by_role("button", name="any of them (OR)").click()
        expect(page.get_by_text("OR", exact=True)).to_be_visible()
        choose(page, "Filter", "Country of the profile")
        choose(page, "Values", "Russia")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="As text").click()
        expect(page.get_by_label("JSON of the conditions")).to_have_value(re.compile('"country_id".*"50"', re.DOTALL))

        fill(page, "End (UTC), excluded", "2020-01-01T00:00")
        expect(page.get_by_text("does not come after the start")).to_be_visible()
        expect(page.get_by_role("button", name="Propose these settings")).to_be_disabled()
        fill(page, "First moment (UTC)", "2026-01-01T00:00")
        fill(page, "End (UTC), excluded", "2030-06-01T00:00")
        proposed(page, 1)
        expect(
            page.get_by_text("Test user is Yes OR (Country of the profile is one of Russia)", exact=True)
        ).to_be_visible()

        status(page, "Draft")
        step(page, "Publish")
        status(page, "In Dev")
        page.get_by_role("button", name="Start", exact=True).click()
        checks = page.get_by_role("list", name="Before it starts")
        expect(checks).to_contain_text("the code does not seem to be deployed")
        expect(checks).to_contain_text("From 2026-01-01 00:00 UTC to 2030-06-01 00:00 UTC")
        page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
        status(page, "Running")

        page.get_by_role("link", name="Settings", exact=True).click()
        fill(page, "Total percent of users", "30")
        proposed(page, 2)
        step(page, "Pause")
        status(page, "Paused")
        step(page, "Resume")
        status(page, "Running")

        page.get_by_role("button", name="Finish", exact=True).click()
        page.get_by_role("dialog").get_by_role("radio", name="test", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Finish", exact=True).click()
        status(page, "Finished")
        page.get_by_role("link", name="Changelog", exact=True).click()
        expect(page.get_by_text("Finished the test with test for everybody, worldwide").first).to_be_visible()
        page.get_by_role("link", name="Settings", exact=True).click()
        expect(page.get_by_text("The test is over")).to_be_visible()


def a_running_test(pages: Pages, key: str) -> None:
    settle(pages, key, SETTINGS, managers=["bob"], is_running=True)


def test_no_variant_is_the_result_before_it_is_chosen(pages: Pages) -> None:
    a_running_test(pages, "hasty")
    with pages.signed_in("ann") as page:
        page.goto("/tests/hasty")
        page.get_by_role("button", name="Finish", exact=True).click()
        dialog = page.get_by_role("dialog", name="Finish")
        dialog.get_by_role("button", name="Finish", exact=True).click()
        expect(dialog.get_by_text("Choose the resulting variant")).to_be_visible()
        dialog.get_by_role("button", name="Cancel").click()
        status(page, "Running")


def test_a_viewer_sees_everything_and_steers_nothing(pages: Pages) -> None:
    a_running_test(pages, "for_viewers")
    with pages.signed_in("vera") as page:
        expect(page.get_by_role("link", name="Test for_viewers")).to_be_visible()
        expect(page.get_by_role("button", name="New test")).to_be_hidden()
        page.goto("/new")
        page.wait_for_url("/")
        page.goto("/tests/for_viewers")
        status(page, "Running")
        for name in ("Pause", "Finish", "Reject", "Edit", "Add"):
            expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        page.goto("/tests/for_viewers/settings")
        expect(page.get_by_text("Only its managers change the settings: ask ann, bob")).to_be_visible()


def test_a_draft_of_others_does_not_exist(pages: Pages) -> None:
    with pages.commands("ann") as (commands, request):
        commands.create(request, key="secret", name="A secret idea")
    with pages.signed_in("bob") as page:
        expect(page.get_by_role("heading", name="Tests", exact=True)).to_be_visible()
        expect(page.get_by_text("A secret idea")).to_be_hidden()
        for tab in ("", "/settings", "/charts", "/changelog"):
            answer = page.goto(f"/tests/secret{tab}")
            assert answer is not None
            assert answer.status == 404
            expect(page.get_by_text("There is no split test 'secret'")).to_be_visible()


def test_a_half_written_form_survives_a_reload(pages: Pages) -> None:
    a_running_test(pages, "reloaded")
    with pages.signed_in("ann") as page:
        page.goto("/tests/reloaded/settings")
        fill(page, "Total percent of users", "35.5")
        page.get_by_role("button", name="Variant", exact=True).click()
        expect(page.get_by_label("Name", exact=True)).to_have_count(3)
        page.get_by_label("Name", exact=True).last.fill("half_wri")
        page.wait_for_function("localStorage.getItem('usersplit.settings.ann.reloaded')?.includes('half_wri')")
        page.reload()
        expect(page.get_by_text("These are your unfinished changes")).to_be_visible()
        expect(page.get_by_label("Total percent of users")).to_have_value("35.5")
        expect(page.get_by_label("Name", exact=True).last).to_have_value("half_wri")
        page.get_by_role("button", name="Forget my changes").click()
        expect(page.get_by_label("Total percent of users")).to_have_value("20")
        assert page.evaluate("localStorage.length") == 0


def test_two_managers_see_each_others_change_instead_of_overwriting_it(pages: Pages) -> None:
    a_running_test(pages, "shared")
    with pages.signed_in("ann") as ann, pages.signed_in("bob") as bob:
        for page in (ann, bob):
            page.goto("/tests/shared/settings")
        fill(ann, "Total percent of users", "30")
        fill(bob, "Total percent of users", "40")
        proposed(ann, 2)
        expect(bob.get_by_text("Somebody changed the test while you were editing")).to_be_visible()
        expect(bob.get_by_text("Proposed settings group 2")).to_be_visible()
        expect(bob.get_by_label("Total percent of users")).to_have_value("40")
        bob.get_by_role("button", name="Keep mine, on top of theirs").click()
        expect(bob.get_by_text("Somebody changed the test while you were editing")).to_be_hidden()
        proposed(bob, 3)


def test_a_step_that_somebody_else_took_meanwhile_is_refused_and_the_page_shows_it(pages: Pages) -> None:
    a_running_test(pages, "hurried")
    with pages.signed_in("ann") as ann, pages.signed_in("bob") as bob:
        for page in (ann, bob):
            page.goto("/tests/hurried")
            page.get_by_role("button", name="Pause", exact=True).click()
        ann.get_by_role("dialog").get_by_role("button", name="Pause", exact=True).click()
        status(ann, "Paused")
        expect(bob.get_by_text("ann: Paused the test")).to_be_attached()  # his page follows, his question stays
        bob.get_by_role("dialog").get_by_role("button", name="Pause", exact=True).click()
        expect(bob.get_by_role("alert").filter(has_text="Somebody changed it in the meantime")).to_be_visible()
        bob.get_by_role("button", name="Cancel").click()
        status(bob, "Paused")
        expect(bob.get_by_text("ann: Paused the test")).to_be_visible()


def test_a_step_is_taken_though_a_hit_came_from_production_while_it_was_asked(pages: Pages) -> None:
    a_running_test(pages, "deployed_meanwhile")
    with pages.signed_in("ann") as ann:
        ann.goto("/tests/deployed_meanwhile")
        ann.get_by_role("button", name="Pause", exact=True).click()
        expect(ann.get_by_role("dialog")).to_be_visible()
        pages.hit_from_production("deployed_meanwhile")
        ann.get_by_role("dialog").get_by_role("button", name="Pause", exact=True).click()
        status(ann, "Paused")


def test_percents_follow_the_one_that_is_typed(pages: Pages) -> None:
    a_running_test(pages, "following")
    with pages.signed_in("ann") as page:
        page.goto("/tests/following/settings")
        page.get_by_role("button", name="A percent for each").click()
        percents = page.get_by_label("Percent", exact=True)
        expect(percents.nth(1)).to_have_value("10")
        percents.nth(0).fill("15")
        expect(percents.nth(1)).to_have_value("5")
        percents.nth(0).fill("0.1")
        expect(page.get_by_text("0.1 % for variant 'control' is not a whole number of split groups")).to_be_visible()


def test_what_people_type_is_shown_as_text(pages: Pages) -> None:
    nasty = '<img src=x onerror="document.title=1">{{7*7}}`${1}`'
    with pages.commands("ann") as (commands, request):
        commands.create(
            request, key="nasty", name=nasty, description=nasty, issue_key=nasty, chat_room=nasty, managers=[nasty]
        )
        speaks = {"filter": "language", "operator": "in", "value": [nasty]}
        commands.propose_settings(request, "nasty", {**SETTINGS, "conditions": [speaks]})
    with pages.signed_in("ann") as page:
        expect(page.get_by_role("link", name=nasty)).to_be_visible()
        for tab in ("", "/settings", "/charts", "/changelog", f"/changelog?as_of={quote(nasty)}"):
            page.goto(f"/tests/nasty{tab}")
            expect(page.get_by_role("heading", name=nasty)).to_be_visible()
            expect(page.get_by_text(nasty).nth(1)).to_be_visible()
            assert page.locator("img").count() == 0
        for address in (
            f"/?search={quote(nasty)}",
            f"/tests/{quote(nasty, safe='')}",
            f"/groups?search={quote(nasty)}",
        ):
            page.goto(address)
            expect(page.locator("#main")).to_be_visible()
            assert page.locator("img").count() == 0
        assert page.title() != "1"


def test_the_list_is_searched_narrowed_and_kept_in_the_address(pages: Pages) -> None:
    with pages.commands("bob") as (commands, request):
        commands.create(request, key="needle", name="A needle in the hay")
    with pages.signed_in("bob") as page:
        page.get_by_label("Search").fill("NEEDLE")
        expect(page.get_by_text("1 test", exact=True)).to_be_visible()
        page.wait_for_url(re.compile(r"search=NEEDLE"))
        page.reload()
        expect(page.get_by_text("1 test", exact=True)).to_be_visible()
        choose(page, "Status", "Running")
        expect(page.get_by_text("No test matches")).to_be_visible()


def test_the_list_follows_what_others_do_and_leaves_the_search_and_the_focus_alone(pages: Pages) -> None:
    with pages.commands("ann") as (commands, request):
        commands.create(request, key="followed.1", name="Followed from the start", managers=["bob"])
    with pages.signed_in("bob") as page:
        search = page.get_by_label("Search")
        search.fill("followed")
        expect(page.get_by_text("1 test", exact=True)).to_be_visible()
        first = page.get_by_role("link", name="Followed from the start")
        first.focus()
        with pages.commands("ann") as (commands, request):
            commands.create(request, key="followed.2", name="Followed and new", managers=["bob"])
        expect(page.get_by_role("link", name="Followed and new")).to_be_visible()
        expect(page.get_by_text("2 tests", exact=True)).to_be_visible()
        expect(first).to_be_focused()

        search.press("End")
        search.press_sequentially(".2")
        expect(first).to_have_count(0)
        with pages.commands("ann") as (commands, request):
            commands.edit_properties(request, "followed.2", {"name": "Followed and called otherwise"})
        expect(page.get_by_role("link", name="Followed and called otherwise")).to_be_visible()
        expect(search).to_be_focused()
        expect(search).to_have_value("followed.2")
        with pages.commands("ann") as (commands, request):
            commands.discard(request, "followed.2")
        expect(page.get_by_text("No test matches")).to_be_visible()
