"""The bytes of every released version of every fact, kept for ever: what was once stored must stay readable.

A file under golden/ is never changed after a release. A new version of a fact adds a file, and the expectation of the
older ones becomes what their upcasters make of them. To write the file of a new fact, put its example below and copy
the bytes that the failing test shows.

A fact that was given further fields since, with defaults, is written in other bytes under the same version: these are
in a file `<name>.v<version>+<n>.json` beside the first ones, which are only read from then on.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from events.facts import (
    REGISTRY,
    CodeDeployed,
    DraftDiscarded,
    FilterUsed,
    GroupsMoved,
    ManagersChanged,
    Overlap,
    PreparedVariant,
    PropertiesEdited,
    PropertyChange,
    ProposedVariant,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
    SplitTestFinished,
    SplitTestPaused,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestResumed,
    SplitTestStarted,
    SplitTestUnpublished,
    VariantOverlap,
)
from events.override_facts import (
    ForcedVariantForgotten,
    OverridesExpired,
    SplitTestEnabled,
    SplitTestsDisabled,
    SplitTestsEnabledAgain,
    UnitForgotten,
    VariantForced,
)
from events.registry import EncodedFact
from events.user_group_estimate_facts import (
    SharedWithTest,
    SharedWithVariant,
    UserGroupEstimateAsked,
    UserGroupEstimated,
    UserGroupEstimateFailed,
)
from events.user_group_facts import (
    UserGroupActivated,
    UserGroupConditionsChanged,
    UserGroupCreated,
    UserGroupDiscarded,
    UserGroupEdited,
    UserGroupManagersChanged,
    UserGroupSwitchedOff,
)

GOLDEN = Path(__file__).parent / "golden"
UNTIL = datetime(2026, 5, 10, 18, 30, tzinfo=UTC)

EXPECTED: dict[tuple[str, int], Any] = {
    ("SplitTestCreated", 1): SplitTestCreated(
        key="green_button",
        name="Зелёная кнопка",
        author="anna",
        managers=("anna", "boris"),
        description='Is "green" better?\nWe will see.',
        type="mobile",
        issue_key="WEB-17",
        chat_room="#green",
    ),
    ("PropertiesEdited", 1): PropertiesEdited(
        key="green_button", changes=(PropertyChange(name="name", before="Зелёная кнопка", after="Green button"),)
    ),
    ("ManagersChanged", 1): ManagersChanged(
        key="green_button", added=("clara",), removed=("boris",), managers=("anna", "clara")
    ),
    ("SettingsGroupProposed", 1): SettingsGroupProposed(
        key="green_button",
        settings_group=2,
        starts_at=datetime(2026, 5, 1, tzinfo=UTC),
        ends_at=datetime(2026, 6, 1, 12, 30, 15, 250000, tzinfo=UTC),
        conditions='[{"filter": "country_id", "operator": "in", "value": ["50"]}]',
        filters=(FilterUsed(name="country_id", type="integer", scope="user"),),
        variants=(
            ProposedVariant(name="control", groups=120, is_control=True),
            ProposedVariant(name="red", groups=120),
        ),
        split_equally=True,
        reshuffle=True,
    ),
    ("SettingsGroupPrepared", 1): SettingsGroupPrepared(
        key="green_button",
        settings_group=2,
        seed=18446744073709551615,
        as_of_position=41,
        variants=(
            PreparedVariant(name="control", split_groups=(1, 7, 12)),
            PreparedVariant(name="red", split_groups=(2, 3, 2400), users=1234567),
        ),
        overlaps=(
            Overlap(key="big_photo", settings_group=1, shared_groups=3),
            Overlap(key="small_photo", settings_group=4, shared_groups=1, shared_users=17, same_type=True),
        ),
        kept_groups=4,
        moved=(GroupsMoved(before="", after="red", groups=2), GroupsMoved(before="control", after="", groups=1)),
    ),
    ("SettingsGroupPreparationFailed", 1): SettingsGroupPreparationFailed(
        key="green_button", settings_group=2, reason="the users table has no column for country_id"
    ),
    ("SettingsGroupPreparationRetried", 1): SettingsGroupPreparationRetried(key="green_button", settings_group=2),
    ("SplitTestPublished", 1): SplitTestPublished(key="green_button"),
    ("SplitTestUnpublished", 1): SplitTestUnpublished(key="green_button"),
    ("DraftDiscarded", 1): DraftDiscarded(key="green_button"),
    ("CodeDeployed", 1): CodeDeployed(
        key="green_button",
        hit_id="0196a3c0-7b1e-7a4e-8f1b-2a6d5c3e9f10",
        occurred_at=datetime(2026, 5, 3, 14, 5, 6, 789012, tzinfo=UTC),
        app="store",
        host="web-3",
    ),
    ("SplitTestStarted", 1): SplitTestStarted(key="green_button"),
    ("SplitTestPaused", 1): SplitTestPaused(key="green_button"),
    ("SplitTestResumed", 1): SplitTestResumed(key="green_button"),
    ("SplitTestFinished", 1): SplitTestFinished(key="green_button", resulting_variant="red", scope="conditions"),
    ("SplitTestRejected", 1): SplitTestRejected(key="green_button"),
    ("UserGroupCreated", 1): UserGroupCreated(
        key="premium_users",
        name="Premium",
        author="anna",
        managers=("anna", "boris"),
        description="Who pays.\nÜber 18.",
    ),
    ("UserGroupEdited", 1): UserGroupEdited(
        key="premium_users", changes=(PropertyChange(name="description", before="Who pays.", after=""),)
    ),
    ("UserGroupManagersChanged", 1): UserGroupManagersChanged(
        key="premium_users", added=("clara",), removed=("boris",), managers=("anna", "clara")
    ),
    ("UserGroupConditionsChanged", 1): UserGroupConditionsChanged(
        key="premium_users",
        settings_group=2,
        conditions='[{"filter": "country_id", "operator": "in", "value": ["50"]}]',
        filters=(FilterUsed(name="country_id", type="integer", scope="user"),),
    ),
    ("UserGroupActivated", 1): UserGroupActivated(key="premium_users"),
    ("UserGroupSwitchedOff", 1): UserGroupSwitchedOff(key="premium_users"),
    ("UserGroupDiscarded", 1): UserGroupDiscarded(key="premium_users"),
    ("UserGroupEstimated", 1): UserGroupEstimated(
        key="premium_users",
        settings_group=2,
        as_of_position=41,
        users=1234567,
        shared=(
            SharedWithTest(
                key="big_photo",
                settings_group=4,
                users=20000,
                their_users=1000000,
                is_upper_bound=True,
                by_variant=(
                    SharedWithVariant(variant="control", users=12000),
                    SharedWithVariant(variant="größer", users=8000),
                ),
            ),
            SharedWithTest(key="", settings_group=0, users=17),
        ),
        assumed_filters=("platform",),
    ),
    ("UserGroupEstimateFailed", 1): UserGroupEstimateFailed(
        key="premium_users", settings_group=2, reason="the users table has no column for country_id"
    ),
    ("UserGroupEstimateAsked", 1): UserGroupEstimateAsked(key="premium_users", settings_group=2),
    ("VariantForced", 1): VariantForced(
        unit="user:42", environment="production", key="green_button", variant=None, until=UNTIL
    ),
    ("ForcedVariantForgotten", 1): ForcedVariantForgotten(unit="device:ab:1", environment="devel", key="green_button"),
    ("SplitTestsDisabled", 1): SplitTestsDisabled(unit="guest:ü", environment="devel", until=UNTIL),
    ("SplitTestEnabled", 1): SplitTestEnabled(unit="guest:ü", environment="devel", key="green_button"),
    ("SplitTestsEnabledAgain", 1): SplitTestsEnabledAgain(unit="guest:ü", environment="devel"),
    ("UnitForgotten", 1): UnitForgotten(unit="user:42", environment="production"),
    ("OverridesExpired", 1): OverridesExpired(
        unit="user:42", environment="production", keys=("big_photo", "green_button"), disabling=True
    ),
}

WIDENED: dict[str, Any] = {
    "SettingsGroupPrepared.v1+1": SettingsGroupPrepared(
        key="green_button",
        settings_group=3,
        seed=7,
        as_of_position=52,
        variants=(
            PreparedVariant(name="control", split_groups=(1, 7, 12), users=14751),
            PreparedVariant(name="red", split_groups=(2, 3, 2400), users=14751, smallest_effect=0.009765625),
        ),
        overlaps=(
            Overlap(
                key="big_photo",
                settings_group=1,
                shared_groups=3,
                shared_users=17,
                same_type=True,
                their_users=1700,
                is_upper_bound=True,
                by_variant=(VariantOverlap(ours="red", theirs="big", shared_groups=3, shared_users=17),),
            ),
        ),
        kept_groups=6,
        assumed_filters=("platform",),
        base_rate=0.1,
    ),
}
"""What is written now under a version whose first bytes lack fields, by the file's name."""

ALL = pytest.mark.parametrize(("name", "version"), EXPECTED, ids=str)


def golden(name: str, version: int) -> bytes:
    return (GOLDEN / f"{name}.v{version}.json").read_bytes().removesuffix(b"\n")


def test_every_version_ever_registered_has_golden_bytes() -> None:
    released = {(name, version) for name, current in REGISTRY.names().items() for version in range(1, current + 1)}

    files = {file.stem for file in GOLDEN.glob("*.v*.json")}
    assert files == {f"{name}.v{version}" for name, version in released} | set(WIDENED)
    assert set(EXPECTED) == released


@ALL
def test_golden_bytes_decode_to_the_fact_they_always_meant(name: str, version: int) -> None:
    encoded = EncodedFact(name=name, version=version, payload=golden(name, version))

    assert REGISTRY.decode(encoded) == EXPECTED[name, version]


@ALL
def test_the_current_version_is_still_written_in_the_same_bytes(name: str, version: int) -> None:
    if version < REGISTRY.names()[name] or any(stem.startswith(f"{name}.v{version}+") for stem in WIDENED):
        return  # older versions are read, and written no more

    assert REGISTRY.encode(EXPECTED[name, version]) == EncodedFact(
        name=name, version=version, payload=golden(name, version)
    )


@pytest.mark.parametrize("stem", WIDENED)
def test_a_version_that_was_given_fields_is_read_and_written_with_them(stem: str) -> None:
    name, version = stem.split("+", maxsplit=1)[0].split(".v")
    payload = (GOLDEN / f"{stem}.json").read_bytes().removesuffix(b"\n")
    encoded = EncodedFact(name=name, version=int(version), payload=payload)
    assert REGISTRY.encode(WIDENED[stem]) == encoded
    assert REGISTRY.decode(encoded) == WIDENED[stem]
