from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from events.facts import Overlap
from projections.changelog import ChangelogEntry, prepared_at
from projections.checklist import Finding, checklist
from projections.current_settings import CurrentSettings
from projections.proposals import CurrentVariant
from projections.test_list import ListedSplitTest

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
PREPARED = ChangelogEntry(
    position=7,
    at=NOW - timedelta(hours=1) + timedelta(microseconds=485_700),
    actor="ann",
    key="button",
    sentence="Settings group 3 is prepared and is now the current one.",
    changes=(("current settings group", "2", "3"),),
)


def variant(name: str, *, users: int | None, smallest_effect: float | None = None) -> CurrentVariant:
    return CurrentVariant(
        name=name,
        is_control=name == "control",
        groups=240,
        split_groups=tuple(range(1, 241)),
        users=users,
        smallest_effect=smallest_effect,
    )


SETTINGS = CurrentSettings(
    key="button",
    type="web",
    status="in_dev",
    settings_group=3,
    starts_at=NOW - timedelta(days=1),
    ends_at=NOW + timedelta(days=30),
    conditions="[]",
    filters=(),
    variants=(variant("control", users=50_000), variant("green", users=50_000, smallest_effect=0.005)),
    seed=1,
    overlaps=(),
    base_rate=0.1,
    pending_group=None,
    pending_state="",
    pending_reason="",
    position=7,
)
LISTED = ListedSplitTest(
    key="button",
    name="Button",
    description="",
    type="web",
    issue_key="",
    chat_room="",
    author="ann",
    managers=("ann",),
    status="in_dev",
    settings_group=3,
    starts_at=SETTINGS.starts_at,
    ends_at=SETTINGS.ends_at,
    code_deployed_at=NOW - timedelta(hours=2),
    created_at=NOW - timedelta(days=2),
    updated_at=NOW,
    version=8,
)


def findings(*, deployed: bool = True, missing_on: Sequence[str] = (), **settings: Any) -> dict[str, Finding]:
    listed = LISTED if deployed else replace(LISTED, code_deployed_at=None)
    current = replace(SETTINGS, **settings)
    found = checklist(
        listed,
        current,
        missing_on=missing_on,
        prepared_at=prepared_at([PREPARED], current.settings_group),
        now=NOW,
    )
    assert len({finding.about for finding in found}) == len(found)
    return {finding.about: finding for finding in found}


def marks(**given: Any) -> dict[str, str]:
    return {name: finding.mark for name, finding in findings(**given).items()}


def test_a_test_with_everything_in_order_has_no_warning() -> None:
    assert set(marks().values()) == {"ok"}
    assert findings()["code"].found == ("The code is deployed: a production hit came at 2026-05-04 10:30 UTC.")


def test_code_that_sent_no_hit_is_no_deployed_code() -> None:
    assert marks(deployed=False)["code"] == "bad"


def test_dates_that_are_over_or_to_come_or_short_are_told() -> None:
    day = timedelta(days=1)
    assert marks(ends_at=NOW)["dates"] == "bad"
    assert marks(starts_at=NOW + day)["dates"] == "warn"
    assert marks(ends_at=NOW + 6 * day)["dates"] == "warn"
    assert marks(starts_at=None, ends_at=None)["dates"] == "bad"


def test_servers_without_the_newest_config_are_named() -> None:
    found = findings(missing_on=["production/web-1"])["servers"]
    assert (found.mark, found.found) == ("warn", "Servers without the newest config yet: production/web-1.")
    many = findings(missing_on=[f"production/web-{number}" for number in range(40)])["servers"]
    assert many.found.endswith("production/web-4 and 35 more.")


def test_an_overlap_with_a_test_of_the_same_type_is_told_with_its_users_and_its_moment() -> None:
    other = Overlap(key="menu", settings_group=1, shared_groups=240, shared_users=10_000, same_type=True)
    found = findings(overlaps=(other,))["overlaps"]
    assert found.mark == "warn"
    assert "menu, 240 split groups and 10,000 users (10 % of ours, same type)" in found.found
    assert "As of 2026-05-04 11:30 UTC" in found.why
    assert marks(overlaps=(replace(other, same_type=False),))["overlaps"] == "ok"


def test_a_test_that_can_only_show_great_effects_is_warned_of() -> None:
    weak = (variant("control", users=100), variant("green", users=100, smallest_effect=0.05))
    assert marks(variants=weak)["power"] == "warn"
    assert marks(variants=weak[:1])["power"] == "warn"
    uncounted = (variant("control", users=None), variant("green", users=None))
    assert marks(variants=uncounted, base_rate=None)["power"] == "warn"


def test_settings_that_wait_are_not_taken_for_those_that_would_be_started() -> None:
    waiting = findings(pending_group=4, pending_state="proposed")["waiting"]
    assert waiting.found.startswith("Settings group 3 would be started: settings group 4 is still being prepared")
    failed = findings(pending_group=4, pending_state="failed", pending_reason="no users")["waiting"]
    assert (failed.mark, failed.why) == ("warn", "no users")


def test_without_overlaps_it_says_what_was_looked_at() -> None:
    uncounted = (variant("control", users=None), variant("green", users=None))
    assert findings()["overlaps"].found == "It shares users with no other test."
    assert findings(variants=uncounted)["overlaps"].found == "It shares split groups with no other test."
