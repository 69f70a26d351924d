import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain.errors import RuleBroken
from domain.settings import SettingsProposal, parse_proposal
from domain.settings_errors import (
    EmptyVariant,
    EndlessTest,
    EndsBeforeStart,
    NaiveMoment,
    NobodyInTest,
    NoStart,
    NoVariants,
    PercentMissing,
    PercentNotExact,
    PercentOutOfRange,
    PercentsOrTotal,
    PercentsOverHundred,
    TotalNotDivisible,
    TwoControls,
    UnknownField,
    VariantTwice,
    WrongField,
    WrongMoment,
    WrongVariantName,
)
from events.facts import FilterUsed, ProposedVariant
from usersplit.conditions import (
    Catalog,
    ConditionsError,
    Filter,
    MixedOperators,
    UnknownFilter,
    UnknownOperator,
    WrongValue,
    parse,
)

CATALOG = Catalog(
    [
        Filter("is_test_user", "boolean", "user"),
        Filter("is_new_user", "boolean", "user"),
        Filter("country_id", "integer", "user"),
        Filter("platform", "string", "environment"),
    ]
)
SEED_CONDITIONS: list[object] = [
    {"filter": "is_test_user", "operator": "eq", "value": "Yes"},
    "OR",
    [
        {"filter": "country_id", "operator": "in", "value": ["50"]},
        "AND",
        {"filter": "is_new_user", "operator": "eq", "value": "1"},
    ],
]
VARIANTS: list[object] = [
    {"name": "control", "percent": 10, "control": True},
    {"name": "red", "percent": "12.5"},
]


def document(**changes: object) -> dict[str, object]:
    complete: dict[str, object] = {"starts_at": "2026-05-01", "ends_at": "2026-06-01", "variants": VARIANTS}
    return {field: value for field, value in (complete | changes).items() if value != "absent"}


def test_a_proposal_has_dates_conditions_and_exact_counts_of_groups() -> None:
    proposal = parse_proposal(document(conditions=SEED_CONDITIONS), CATALOG)
    assert proposal.starts_at == datetime(2026, 5, 1, tzinfo=UTC)
    assert proposal.ends_at == datetime(2026, 6, 1, tzinfo=UTC)
    assert proposal.variants == (
        ProposedVariant(name="control", groups=240, is_control=True),
        ProposedVariant(name="red", groups=300),
    )
    assert not proposal.split_equally
    assert json.loads(proposal.conditions_text) == SEED_CONDITIONS
    assert proposal.filters == (
        FilterUsed(name="country_id", type="integer", scope="user"),
        FilterUsed(name="is_new_user", type="boolean", scope="user"),
        FilterUsed(name="is_test_user", type="boolean", scope="user"),
    )


@pytest.mark.parametrize("conditions", ["absent", None, []])
def test_no_conditions_are_everybody(conditions: object) -> None:
    proposal = parse_proposal(document(conditions=conditions), CATALOG)
    assert proposal.conditions_text == "[]"
    assert proposal.conditions.matches(None, {})


def test_a_total_is_split_equally() -> None:
    variants = [{"name": name} for name in ("a", "b", "c")]
    proposal = parse_proposal(document(variants=variants, total_percent="20"), CATALOG)
    assert [variant.groups for variant in proposal.variants] == [160, 160, 160]
    assert proposal.split_equally


def test_a_reshuffle_is_an_explicit_choice() -> None:
    assert not parse_proposal(document(), CATALOG).reshuffle
    assert parse_proposal(document(reshuffle=True), CATALOG).reshuffle
    with pytest.raises(WrongField, match="reshuffle is 1; give true or false"):
        parse_proposal(document(reshuffle=1), CATALOG)


def test_control_may_have_0_percent_or_be_absent() -> None:
    zero = [{"name": "control", "percent": 0, "control": True}, {"name": "red", "percent": 100}]
    assert parse_proposal(document(variants=zero), CATALOG).variants[0].groups == 0
    without = parse_proposal(document(variants=[{"name": "red", "percent": 5}]), CATALOG)
    assert [variant.is_control for variant in without.variants] == [False]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-01", datetime(2026, 5, 1, tzinfo=UTC)),
        (" 2026-05-01T09:30:00Z ", datetime(2026, 5, 1, 9, 30, tzinfo=UTC)),
        ("2026-05-01T09:30:00+03:00", datetime(2026, 5, 1, 6, 30, tzinfo=UTC)),
        ("2026-05-01 09:30Z", datetime(2026, 5, 1, 9, 30, tzinfo=UTC)),
    ],
)
def test_moments_become_utc_and_dates_midnight(text: str, moment: datetime) -> None:
    starts_at = parse_proposal(document(starts_at=text), CATALOG).starts_at
    assert (starts_at, starts_at.tzinfo) == (moment, UTC)


RED = {"name": "red", "percent": 50}
BROKEN: list[tuple[Mapping[str, object], type[RuleBroken], str]] = [
    ({"start_at": "2026-05-01"}, UnknownField, "the proposal has no field 'start_at'; its fields are starts_at"),
    ({"variants": [RED | {"percents": 5}]}, UnknownField, "a variant has no field 'percents'"),
    ({"starts_at": "absent"}, NoStart, "give starts_at"),
    ({"starts_at": None}, NoStart, "give starts_at"),
    ({"ends_at": "absent"}, EndlessTest, "a test cannot be endless; give its end (ends_at)"),
    ({"ends_at": None}, EndlessTest, "a test cannot be endless"),
    ({"ends_at": "2026-05-01"}, EndsBeforeStart, "the end (2026-05-01 00:00:00 UTC) does not come"),
    (
        {"ends_at": "2026-04-01"},
        EndsBeforeStart,
        "after the start (2026-05-01 00:00:00 UTC); give a later end",
    ),
    ({"ends_at": "2026-06-01T00:00:00"}, NaiveMoment, "add Z for UTC"),
    ({"starts_at": "1 May"}, WrongMoment, "give a date such as 2026-05-01"),
    ({"starts_at": "2026-02-30"}, WrongMoment, "starts_at is '2026-02-30'"),
    ({"starts_at": 20260501}, WrongMoment, "starts_at is 20260501"),
    ({"ends_at": "9999-12-31T23:59:59-01:00"}, WrongMoment, "ends_at"),
    ({"variants": "absent"}, NoVariants, "give at least one"),
    ({"variants": []}, NoVariants, "give at least one"),
    ({"variants": "red"}, WrongField, "give a list"),
    ({"variants": {"red": 50}}, WrongField, "give a list"),
    ({"variants": ["red"]}, WrongField, "give an object"),
    ({"variants": [{"percent": 5}]}, WrongField, "the name of a variant is None"),
    ({"variants": [{"name": 7, "percent": 5}]}, WrongField, "the name of a variant is 7"),
    ({"variants": [RED | {"control": "yes"}]}, WrongField, "give true or false"),
    ({"variants": [RED | {"name": ""}]}, WrongVariantName, "cannot be a variant's name"),
    ({"variants": [RED | {"name": "dark red"}]}, WrongVariantName, "'dark red' cannot be"),
    ({"variants": [RED | {"name": "r" * 101}]}, WrongVariantName, "1 to 100 letters"),
    ({"variants": [RED, RED]}, VariantTwice, "two variants are called 'red'"),
    (
        {"variants": [RED | {"control": True}, RED | {"name": "blue", "control": True}]},
        TwoControls,
        "red and blue are both control",
    ),
    ({"variants": [{"name": "red"}]}, PercentMissing, "variant 'red' has no percent"),
    ({"variants": [RED], "total_percent": 20}, PercentsOrTotal, "beside total_percent"),
    ({"variants": [RED | {"percent": 33.3}]}, PercentNotExact, "33.25 and 33.375"),
    ({"variants": [RED | {"percent": -5}]}, PercentOutOfRange, "from 0 to 100"),
    ({"variants": [RED | {"percent": "half"}]}, WrongField, "the percent of variant 'red' is 'half'"),
    (
        {"variants": [RED | {"percent": 60}, RED | {"name": "blue", "percent": 40.125}]},
        PercentsOverHundred,
        "100.125 % of users together",
    ),
    ({"variants": [{"name": "a", "percent": 0, "control": True}]}, NobodyInTest, "take 0 % of users"),
    ({"variants": [{"name": "a"}], "total_percent": 0}, NobodyInTest, "take 0 % of users"),
    ({"variants": [RED, {"name": "a", "percent": 0}]}, EmptyVariant, "variant 'a' has 0 %"),
    ({"variants": [{"name": str(n)} for n in range(7)], "total_percent": 20}, TotalNotDivisible, "19.25 and 20.125"),
]


@pytest.mark.parametrize(("changes", "error", "message"), BROKEN)
def test_each_broken_rule_is_a_named_error_that_says_what_to_do(
    changes: Mapping[str, object], error: type[RuleBroken], message: str
) -> None:
    with pytest.raises(error) as refusal:
        parse_proposal(document(**changes), CATALOG)
    assert type(refusal.value) is error
    assert message in str(refusal.value)


@pytest.mark.parametrize("no_object", [None, [], "2026-05-01", 5])
def test_a_proposal_is_an_object(no_object: object) -> None:
    with pytest.raises(WrongField, match="give an object with starts_at"):
        parse_proposal(no_object, CATALOG)


def test_conditions_that_no_database_could_store_are_refused() -> None:
    leaf = {"filter": "platform", "operator": "eq", "value": "half a pair: \ud800"}
    with pytest.raises(WrongValue, match="no database can store"):
        parse_proposal(document(conditions=[leaf]), CATALOG)


@pytest.mark.parametrize(
    ("conditions", "error"),
    [
        ([{"filter": "shoe_size", "operator": "eq", "value": 42}], UnknownFilter),
        ([{"filter": "is_new_user", "operator": "gt", "value": True}], UnknownOperator),
        ([{"filter": "country_id", "operator": "in", "value": ["Russia"]}], WrongValue),
        ([SEED_CONDITIONS[0], "OR", SEED_CONDITIONS[0], "AND", SEED_CONDITIONS[0]], MixedOperators),
    ],
)
def test_broken_conditions_are_refused_by_name(conditions: object, error: type[ConditionsError]) -> None:
    with pytest.raises(error):
        parse_proposal(document(conditions=conditions), CATALOG)


def proposal_with(*variants: ProposedVariant, starts_at: datetime) -> SettingsProposal:
    return SettingsProposal(
        starts_at=starts_at,
        ends_at=datetime(2026, 6, 1, tzinfo=UTC),
        conditions=parse([], CATALOG),
        conditions_text="[]",
        variants=variants,
    )


def test_a_proposal_that_breaks_a_rule_cannot_be_made_without_a_document_either() -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    with pytest.raises(NaiveMoment):
        proposal_with(ProposedVariant(name="a", groups=1), starts_at=start.replace(tzinfo=None))
    with pytest.raises(NoVariants):
        proposal_with(starts_at=start)
    with pytest.raises(EmptyVariant):
        proposal_with(ProposedVariant(name="a", groups=-1), ProposedVariant(name="b", groups=2), starts_at=start)


def test_a_proposal_keeps_its_dates_in_utc() -> None:
    moscow = datetime(2026, 5, 1, 3, tzinfo=timezone(timedelta(hours=3)))
    proposal = proposal_with(ProposedVariant(name="a", groups=1), starts_at=moscow)
    assert (proposal.starts_at, proposal.starts_at.tzinfo) == (moscow, UTC)
