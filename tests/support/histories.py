"""Facts: one at a time with sensible defaults, whole lives, and random histories."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from hypothesis import strategies as st

from events import facts, override_facts, user_group_estimate_facts, user_group_facts

MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)
KEY = "green_button"

CONDITIONS = '[{"filter": "is_test_user", "operator": "eq", "value": "Yes"}]'
FILTERS = (facts.FilterUsed(name="is_test_user", type="boolean", scope="user"),)
HALF_AND_HALF = (
    facts.ProposedVariant(name="control", groups=1200, is_control=True),
    facts.ProposedVariant(name="red", groups=1200),
)


def created(key: str = KEY, **properties: Any) -> facts.SplitTestCreated:
    return facts.SplitTestCreated(
        **({"key": key, "name": "Green button", "author": "anna", "managers": ("anna",)} | properties)
    )


def proposed(key: str = KEY, settings_group: int = 1, **settings: Any) -> facts.SettingsGroupProposed:
    defaults: dict[str, Any] = {
        "key": key,
        "settings_group": settings_group,
        "starts_at": MAY,
        "ends_at": JUNE,
        "conditions": CONDITIONS,
        "filters": FILTERS,
        "variants": HALF_AND_HALF,
    }
    return facts.SettingsGroupProposed(**(defaults | settings))


def prepared(key: str = KEY, settings_group: int = 1, **outcome: Any) -> facts.SettingsGroupPrepared:
    defaults: dict[str, Any] = {
        "key": key,
        "settings_group": settings_group,
        "seed": 7,
        "as_of_position": 0,
        "variants": (
            facts.PreparedVariant(name="control", split_groups=(1, 3, 5), users=300),
            facts.PreparedVariant(name="red", split_groups=(2, 4, 2400), users=290),
        ),
    }
    return facts.SettingsGroupPrepared(**(defaults | outcome))


def code_deployed(key: str = KEY) -> facts.CodeDeployed:
    return facts.CodeDeployed(
        key=key, hit_id="hit-1", occurred_at=datetime(2026, 5, 3, 14, 5, tzinfo=UTC), app="store", host="web-3"
    )


def draft_with_settings(key: str = KEY) -> list[Any]:
    return [created(key), proposed(key), prepared(key)]


def published(key: str = KEY) -> list[Any]:
    return [*draft_with_settings(key), facts.SplitTestPublished(key=key)]


def running(key: str = KEY) -> list[Any]:
    return [*published(key), code_deployed(key), facts.SplitTestStarted(key=key)]


def whole_life(key: str = KEY) -> list[Any]:
    """Every kind of fact at least once, in an order that the domain allows."""
    return [
        created(key),
        facts.DraftDiscarded(key=key),
        created(key, name="Greener button"),
        facts.PropertiesEdited(key=key, changes=(facts.PropertyChange(name="issue_key", before="", after="SHOP-1"),)),
        facts.ManagersChanged(key=key, added=("ivan",), removed=(), managers=("anna", "ivan")),
        proposed(key, 1),
        facts.SettingsGroupPreparationFailed(key=key, settings_group=1, reason="the users table does not answer"),
        facts.SettingsGroupPreparationRetried(key=key, settings_group=1),
        prepared(key, 1),
        facts.SplitTestPublished(key=key),
        facts.SplitTestUnpublished(key=key),
        facts.SplitTestPublished(key=key),
        code_deployed(key),
        facts.SplitTestStarted(key=key),
        proposed(key, 2, ends_at=JUNE + timedelta(days=7)),
        prepared(key, 2, overlaps=(facts.Overlap(key="other", settings_group=1, shared_groups=120),)),
        facts.SplitTestPaused(key=key),
        facts.SplitTestResumed(key=key),
        facts.SplitTestFinished(key=key, resulting_variant="red", scope="conditions"),
    ]


def group_created(key: str = KEY, **properties: Any) -> user_group_facts.UserGroupCreated:
    defaults: dict[str, Any] = {"key": key, "name": "Premium", "author": "anna", "managers": ("anna",)}
    return user_group_facts.UserGroupCreated(**(defaults | properties))


def conditions_changed(
    key: str = KEY, settings_group: int = 1, conditions: str = CONDITIONS
) -> user_group_facts.UserGroupConditionsChanged:
    return user_group_facts.UserGroupConditionsChanged(
        key=key, settings_group=settings_group, conditions=conditions, filters=FILTERS if conditions != "[]" else ()
    )


def active_group(key: str = KEY) -> list[Any]:
    return [group_created(key), conditions_changed(key), user_group_facts.UserGroupActivated(key=key)]


def group_estimated(
    key: str = KEY, settings_group: int = 1, **numbers: Any
) -> user_group_estimate_facts.UserGroupEstimated:
    defaults: dict[str, Any] = {"as_of_position": 7, "users": 1200}
    return user_group_estimate_facts.UserGroupEstimated(key=key, settings_group=settings_group, **(defaults | numbers))


def shared_with_test(key: str = "big_photo", users: int = 300, **more: Any) -> user_group_estimate_facts.SharedWithTest:
    return user_group_estimate_facts.SharedWithTest(key=key, settings_group=2, users=users, **more)


def whole_story_of_estimates(key: str = KEY) -> list[Any]:
    """Every kind of fact of counting a user group, among those of its life."""
    return [
        *active_group(key),
        user_group_estimate_facts.UserGroupEstimateFailed(key=key, settings_group=1, reason="no users table"),
        user_group_estimate_facts.UserGroupEstimateAsked(key=key, settings_group=1),
        group_estimated(key, shared=(shared_with_test(), shared_with_test("", 12)), assumed_filters=("platform",)),
        conditions_changed(key, 2, "[]"),
        group_estimated(key, 1, users=9),
        group_estimated(key, 2),
        user_group_facts.UserGroupSwitchedOff(key=key),
    ]


def whole_life_of_user_group(key: str = KEY) -> list[Any]:
    """Every kind of fact of a user group at least once, in an order that the domain allows."""
    return [
        *active_group(key),
        conditions_changed(key, 2, "[]"),
        user_group_facts.UserGroupEdited(
            key=key, changes=(facts.PropertyChange(name="description", before="", after="Who pays"),)
        ),
        user_group_facts.UserGroupManagersChanged(key=key, added=("ivan",), removed=(), managers=("anna", "ivan")),
        user_group_facts.UserGroupSwitchedOff(key=key),
        user_group_facts.UserGroupDiscarded(key=key),
        group_created(key, name="Premium again"),
        conditions_changed(key, 3),
        user_group_facts.UserGroupActivated(key=key),
    ]


def forced(
    variant: str | None = "red",
    *,
    key: str = KEY,
    unit: str = "user:42",
    environment: override_facts.OverrideEnvironment = "devel",
    until: datetime = JUNE,
) -> override_facts.VariantForced:
    return override_facts.VariantForced(unit=unit, environment=environment, key=key, variant=variant, until=until)


def disabled(
    unit: str = "user:42", environment: override_facts.OverrideEnvironment = "devel", until: datetime = JUNE
) -> override_facts.SplitTestsDisabled:
    return override_facts.SplitTestsDisabled(unit=unit, environment=environment, until=until)


def enabled(
    key: str = KEY, unit: str = "user:42", environment: override_facts.OverrideEnvironment = "devel"
) -> override_facts.SplitTestEnabled:
    return override_facts.SplitTestEnabled(unit=unit, environment=environment, key=key)


def whole_story_of_overrides(key: str = KEY) -> list[Any]:
    """Every kind of fact of overrides at least once, in an order that the domain allows."""
    place: dict[str, Any] = {"unit": "user:42", "environment": "devel"}
    return [
        forced(key=key),
        forced(None, key=key, environment="production"),
        override_facts.ForcedVariantForgotten(key=key, **place),
        disabled(),
        enabled(key),
        override_facts.SplitTestsEnabledAgain(**place),
        disabled(),
        override_facts.OverridesExpired(keys=(key,), disabling=True, **place),
        forced(key=key),
        override_facts.UnitForgotten(**place),
        disabled("guest:7f"),
        enabled(key, "guest:7f"),
    ]


_texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
_keys = st.sampled_from(["a", "b.c", "D-1"])
_numbers = st.integers(min_value=1, max_value=3)
_moments = st.integers(min_value=-(10**15), max_value=10**15).map(lambda after: MAY + timedelta(microseconds=after))
_names = st.sampled_from(["control", "red", "blue"])
_conditions = st.sampled_from(["[]", CONDITIONS, ' [ {"filter":"gone", "operator": "eq", "value": 1e3} ] '])
_counts = st.none() | st.integers(min_value=0, max_value=10**12)

_overriding: dict[type, dict[str, st.SearchStrategy[Any]]] = {
    facts.SplitTestCreated: {},
    facts.PropertiesEdited: {
        "changes": st.lists(
            st.builds(
                facts.PropertyChange,
                name=st.sampled_from(["name", "type", "issue_key", "chat_room", "description", "of_the_future"]),
                before=_texts,
                after=_texts,
            ),
            max_size=2,
        ).map(tuple)
    },
    facts.SettingsGroupProposed: {
        "starts_at": _moments,
        "ends_at": _moments,
        "conditions": _conditions,
        "filters": st.sampled_from([(), FILTERS]),
        "variants": st.lists(
            st.builds(facts.ProposedVariant, name=_names, groups=st.integers(0, 2400), is_control=st.booleans()),
            max_size=3,
            unique_by=lambda variant: variant.name,
        ).map(tuple),
        "split_equally": st.booleans(),
    },
    facts.SettingsGroupPrepared: {
        "seed": st.integers(min_value=0, max_value=2**128),
        "variants": st.lists(
            st.builds(
                facts.PreparedVariant,
                name=_names,
                split_groups=st.sets(st.integers(1, 2400), max_size=3).map(lambda groups: tuple(sorted(groups))),
                users=_counts,
                smallest_effect=st.none() | st.floats(0, 1),
            ),
            max_size=3,
        ).map(tuple),
        "overlaps": st.lists(
            st.builds(
                facts.Overlap,
                key=_keys,
                shared_users=_counts,
                same_type=st.booleans(),
                their_users=_counts,
                by_variant=st.lists(st.builds(facts.VariantOverlap, shared_users=_counts), max_size=1).map(tuple),
            ),
            max_size=2,
        ).map(tuple),
        "base_rate": st.none() | st.floats(0, 1),
        "assumed_filters": st.sampled_from([(), ("platform",)]),
    },
    facts.CodeDeployed: {"occurred_at": _moments},
    user_group_facts.UserGroupEdited: {
        "changes": st.lists(
            st.builds(
                facts.PropertyChange,
                name=st.sampled_from(["name", "description", "of_the_future"]),
                before=_texts,
                after=_texts,
            ),
            max_size=2,
        ).map(tuple)
    },
    user_group_facts.UserGroupConditionsChanged: {
        "conditions": _conditions,
        "filters": st.sampled_from([(), FILTERS]),
    },
    user_group_estimate_facts.UserGroupEstimated: {
        "users": st.integers(0, 10**12),
        "shared": st.lists(
            st.builds(
                user_group_estimate_facts.SharedWithTest,
                key=_keys,
                users=st.integers(0, 10**12),
                their_users=_counts,
                is_upper_bound=st.booleans(),
                by_variant=st.just(()),
            ),
            max_size=2,
        ).map(tuple),
        "assumed_filters": st.sampled_from([(), ("platform",)]),
    },
    override_facts.VariantForced: {"variant": st.none() | _names},
    override_facts.OverridesExpired: {"keys": st.lists(_keys, max_size=2).map(tuple), "disabling": st.booleans()},
}
_shared: dict[str, st.SearchStrategy[Any]] = {
    "settings_group": _numbers,
    "shared_groups": st.integers(0, 2400),
    "as_of_position": st.integers(0, 100),
    "unit": st.sampled_from(["user:1", "guest:a/b"]),
    "environment": st.sampled_from(["production", "devel"]),
    "until": _moments,
}
_text_fields = frozenset({"name", "author", "description", "type", "issue_key", "chat_room", "reason", "hit_id", "app"})


def _facts_of(kind: type) -> st.SearchStrategy[Any]:
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name in kind.__dataclass_fields__:  # type: ignore[attr-defined]
        if name == "key":
            fields[name] = _keys
        if name in _shared:
            fields[name] = _shared[name]
        elif name in _text_fields:
            fields[name] = _texts
        elif name in {"managers", "added", "removed"}:
            fields[name] = st.lists(_texts, max_size=2).map(tuple)
    return st.builds(kind, **(fields | _overriding.get(kind, {})))


any_fact = st.one_of([_facts_of(kind) for kind in get_args(facts.Fact)])
"""A fact of any kind, about one of few tests, user groups and units, in no order."""

_lives = st.sampled_from(
    [whole_life, running, whole_life_of_user_group, whole_story_of_estimates, whole_story_of_overrides]
)
any_history = st.lists(
    any_fact | st.builds(lambda life, key: life(key), _lives, st.sampled_from(["a", "b.c"])), max_size=25
).map(lambda parts: [fact for part in parts for fact in (part if isinstance(part, list) else [part])])
"""Facts in orders that the domain would never allow, with whole lives among them."""


def cuts(total: int) -> st.SearchStrategy[Sequence[int]]:
    """Return sizes of batches for a history of `total` facts."""
    return st.lists(st.integers(min_value=1, max_value=max(total, 1)), min_size=1, max_size=10)
