"""What the settings page says of edits before anything is proposed: live numbers, and the preview."""

import json
import re

from playwright.sync_api import expect

from tests.support.pages import USERS, Pages, choose, fill, of_test, settle, users_who

RUSSIA = [{"filter": "country_id", "operator": "in", "value": ["50"]}]


def settings(*names: str, year: int, conditions: object = (), percent: int = 20) -> dict[str, object]:
    """Settings in a year of their own, in which no other test's tests run."""
    return {
        "starts_at": f"{year}-01-01",
        "ends_at": f"{year}-06-01",
        "conditions": conditions or [],
        "total_percent": percent,
        "variants": [{"name": name, "control": name == "control"} for name in names],
    }


def test_numbers_of_users_follow_the_conditions_as_they_are_edited(pages: Pages) -> None:
    settle(pages, "russians", settings("control", "red", conditions=RUSSIA, year=2041))
    settle(pages, "for_phones", settings("control", "red", year=2041), type_="mobile")
    with pages.commands("ann") as (commands, request):
        commands.create(request, key="edited", name="To be edited")
    with pages.signed_in("ann") as page:
        page.goto("/tests/edited/settings")
        fill(page, "First moment (UTC)", "2041-02-01T00:00")
        fill(page, "End (UTC), excluded", "2041-03-01T00:00")
        live = page.locator("section", has=page.get_by_role("heading", name="Users, as you edit"))
        expect(page.locator("[data-live=users]")).to_have_text(f"{USERS:,}")
        expect(live).to_contain_text(re.compile(r"as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"))
        expect(live).to_contain_text("4,000 of them get a variant at 20 %")
        of_russia = users_who(pages, "country_id = 50")
        same_type = live.get_by_role("row", name=re.compile("^russians same type"))
        expect(same_type).to_contain_text(f"{of_russia:,}")
        expect(same_type).to_have_class("us-late")
        expect(live.get_by_role("row", name=re.compile("^for_phones"))).not_to_have_class("us-late")

        page.get_by_role("button", name="Condition", exact=True).click()
        choose(page, "Filter", "Country of the profile")
        choose(page, "Values", "Spain")
        page.keyboard.press("Escape")
        spain = users_who(pages, "country_id = 59")
        expect(page.locator("[data-live=users]")).to_have_text(f"{spain:,}")
        expect(same_type).to_have_count(0)

        page.get_by_role("button", name="Condition", exact=True).click()
        expect(page.get_by_label("Filter", exact=True)).to_have_count(2)
        choose(page, "Filter", "Platform")
        expect(page.get_by_label("Values", exact=True)).to_have_count(2)
        choose(page, "Values", "iOS")
        page.keyboard.press("Escape")
        expect(page.locator("[data-live=users]")).to_have_text(f"at most {spain:,}")
        expect(live).to_contain_text("An upper bound: no column of the users table holds “Platform”")


def test_conditions_typed_as_text_count_as_they_are_typed_and_hold_a_proposal_up_while_they_are_none(
    pages: Pages,
) -> None:
    settle(pages, "typed", settings("control", "red", year=2043))
    with pages.signed_in("ann") as page:
        page.goto("/tests/typed/settings")
        page.get_by_role("button", name="As text").click()
        text = page.get_by_label("JSON of the conditions")
        propose = page.get_by_role("button", name="Propose these settings")
        expect(text).to_have_value("[]")
        text.fill('[{"filter": "contry_id", "operator": "in", "value": ["50"]}]')
        expect(page.get_by_text("Did you mean country_id?")).to_be_visible()
        expect(propose).to_be_disabled()
        expect(page.get_by_role("button", name="Preview", exact=True)).to_be_disabled()

        text.fill(json.dumps(RUSSIA))
        expect(page.get_by_label("Filter", exact=True)).to_have_value("Country of the profile")
        expect(text).to_have_value(json.dumps(RUSSIA))
        page.get_by_role("button", name="Condition", exact=True).click()
        expect(text).to_have_value(re.compile("is_test_user"))

        text.fill("[")
        expect(propose).to_be_disabled()
        page.get_by_role("button", name="As text").click()
        expect(propose).to_be_enabled()
        expect(page.get_by_label("Filter", exact=True)).to_have_count(2)

        page.get_by_role("button", name="As text").click()
        text.fill(json.dumps(RUSSIA))
        propose.click()
        page.wait_for_url(of_test("typed"))
        expect(page.get_by_text("Country of the profile is one of Russia").first).to_be_visible()


def test_a_preview_tells_estimate_overlaps_effects_and_moves_and_is_marked_when_it_is_of_an_earlier_edit(
    pages: Pages,
) -> None:
    settle(pages, "same_type", settings("control", "red", percent=100, year=2042))
    settle(pages, "previewed", settings("control", "green", conditions=RUSSIA, percent=40, year=2042))
    with pages.signed_in("ann") as page:
        page.goto("/tests/previewed/settings")
        fill(page, "Total percent of users", "20")
        fill(page, "Base rate", "nothing")
        page.get_by_role("button", name="Preview", exact=True).click()
        expect(page.get_by_text("Give a percent between 0 and 100")).to_be_visible()
        fill(page, "Base rate", "5")
        page.get_by_role("button", name="Preview", exact=True).click()
        card = page.locator("section", has=page.get_by_role("heading", name="What it would become"))
        expect(card).to_contain_text(f"of the {users_who(pages, 'country_id = 50'):,} users who meet the conditions")
        expect(card).to_contain_text("Settings group 2 would have")
        expect(card.get_by_role("row", name=re.compile("^green 10 %"))).to_contain_text("points (5 % →")
        expect(card).to_contain_text("480 split groups (20 %) stay with their variants")
        expect(card).to_contain_text("240 (10 %) leave green")
        overlap = card.get_by_role("row", name=re.compile("^same_type same type 480"))
        expect(overlap).to_contain_text("100 %")
        expect(overlap).to_have_class("us-late")
        expect(card.get_by_text("of an earlier edit")).to_be_hidden()

        fill(page, "Total percent of users", "30")
        expect(card.get_by_text("This preview is of an earlier edit. Preview again.")).to_be_visible()
        page.get_by_role("button", name="Preview", exact=True).click()
        expect(card).to_contain_text("120 (5 %) leave green")
        expect(card.get_by_text("of an earlier edit")).to_be_hidden()


def test_what_was_only_found_out_while_somebody_edits_holds_nobody_up(pages: Pages) -> None:
    settle(pages, "deployed", settings("control", "red", year=2047))
    with pages.signed_in("ann") as page:
        page.goto("/tests/deployed/settings")
        fill(page, "Total percent of users", "30")
        pages.hit_from_production("deployed")
        page.get_by_role("button", name="Propose these settings").click()
        page.wait_for_url(of_test("deployed"))
        expect(page.locator("dl.us").first).to_contain_text("Settings group2")
