from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from audience.catalog import load_catalog
from domain.settings import parse_proposal
from events.facts import FilterUsed, ProposedVariant
from projections.current_settings import CurrentSettings
from projections.proposals import CurrentVariant, Proposal
from web.settings_form import (
    SettingsForm,
    VariantRow,
    add_variant,
    check,
    first_form,
    form_of,
    from_text,
    mark_control,
    proposal_document,
    shared_equally,
    to_text,
    with_percent,
)

CATALOG = load_catalog()
NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
IN_FORCE = CurrentSettings(
    key="green_button",
    type="web",
    status="running",
    settings_group=3,
    starts_at=datetime(2026, 5, 1, 9, 30, 15, tzinfo=UTC),
    ends_at=datetime(2026, 6, 1, tzinfo=UTC),
    conditions='[{"filter": "age", "operator": "gte", "value": 18}]',
    filters=(FilterUsed(name="age", type="integer", scope="user"),),
    variants=(
        CurrentVariant(name="control", is_control=True, groups=240, split_groups=(), users=None),
        CurrentVariant(name="green", is_control=False, groups=483, split_groups=(), users=None),
    ),
    seed=1,
    overlaps=(),
    pending_group=None,
    pending_state="",
    pending_reason="",
    position=9,
)


def percents(form: SettingsForm) -> list[str]:
    return [variant.percent for variant in form.variants]


def test_the_first_form_of_a_test_can_be_proposed_as_it_is() -> None:
    checked = check(first_form(NOW), CATALOG)
    assert checked.problems == {}
    assert checked.proposal is not None
    assert checked.proposal.starts_at == datetime(2026, 5, 5, tzinfo=UTC)
    assert [variant.groups for variant in checked.proposal.variants] == [240, 240]


def test_the_form_of_settings_in_force_proposes_exactly_them() -> None:
    proposal = parse_proposal(proposal_document(form_of(IN_FORCE, NOW)), CATALOG)
    assert (proposal.starts_at, proposal.ends_at) == (IN_FORCE.starts_at, IN_FORCE.ends_at)
    assert proposal.conditions_text == IN_FORCE.conditions
    assert [(each.name, each.groups, each.is_control) for each in proposal.variants] == [
        ("control", 240, True),
        ("green", 483, False),
    ]


def test_settings_with_equal_shares_are_shown_as_one_total() -> None:
    equal = replace(IN_FORCE, variants=tuple(msgspec.structs.replace(each, groups=240) for each in IN_FORCE.variants))
    form = form_of(equal, NOW)
    assert (form.split_equally, form.total_percent, shared_equally(form)) == (True, "20", "10 %")


def test_a_form_survives_being_kept_as_text() -> None:
    form = form_of(IN_FORCE, NOW)
    assert from_text(to_text(form)) == form


@pytest.mark.parametrize("text", ["", "{", "[]", '{"variants": 7}', '{"starts_at": null}'])
def test_text_that_is_no_form_restores_nothing(text: str) -> None:
    assert from_text(text) is None


def test_every_field_hears_what_is_wrong_with_it_at_once() -> None:
    form = first_form(NOW)
    form.ends_at = form.starts_at
    form.conditions = [{"filter": "country_id", "operator": "in", "value": []}]
    form.variants[1].name = "control"
    checked = check(form, CATALOG)
    assert checked.proposal is None
    assert set(checked.problems) == {"ends_at", "conditions", "variants"}
    assert checked.conditions_path == "conditions[0].value"


@pytest.mark.parametrize(
    ("field", "value", "beside"),
    [("starts_at", "", "starts_at"), ("ends_at", "", "ends_at"), ("starts_at", "tomorrow", "starts_at")],
)
def test_a_wrong_date_is_said_beside_its_field(field: str, value: str, beside: str) -> None:
    form = first_form(NOW)
    setattr(form, field, value)
    assert set(check(form, CATALOG).problems) == {beside}


@pytest.mark.parametrize("total", ["a lot", "120", "0.1", "12.875", ""])
def test_a_wrong_total_is_said_beside_the_total(total: str) -> None:
    form = first_form(NOW)
    form.total_percent = total
    assert set(check(form, CATALOG).problems) == {"total"}


def test_the_other_percents_follow_the_one_that_is_typed() -> None:
    form = form_of(IN_FORCE, NOW)
    assert with_percent(form, 0, "20")
    assert percents(form) == ["20", "10.125"]
    assert form.total_percent == "30.125"


def test_more_than_the_total_raises_the_total() -> None:
    form = form_of(IN_FORCE, NOW)
    with_percent(form, 0, "50")
    assert (percents(form), form.total_percent) == (["50", "0"], "50")


def test_what_was_given_up_while_typing_comes_back() -> None:
    form = form_of(IN_FORCE, NOW)
    for typed in ("", "2", "25"):
        with_percent(form, 1, typed)
    assert percents(form) == ["5.125", "25"]


def test_a_percent_that_is_no_number_moves_nothing() -> None:
    form = form_of(IN_FORCE, NOW)
    assert not with_percent(form, 0, "1o")
    assert percents(form) == ["1o", "20.125"]


def test_a_comma_is_understood_as_decimal_point() -> None:
    form = form_of(IN_FORCE, NOW)
    with_percent(form, 0, "12,5")
    assert proposal_document(form)["variants"][0]["percent"] == "12.5"


def test_only_one_variant_is_control() -> None:
    form = form_of(IN_FORCE, NOW)
    mark_control(form, 1)
    assert [variant.control for variant in form.variants] == [False, True]
    mark_control(form, None)
    assert [variant.control for variant in form.variants] == [False, False]


def test_a_further_variant_has_a_name_that_is_free() -> None:
    form = SettingsForm(variants=[VariantRow(name="test"), VariantRow(name="test2")])
    add_variant(form)
    assert form.variants[-1].name == "test3"


@pytest.mark.parametrize("split_equally", [True, False])
def test_a_wrong_name_is_said_beside_that_variant(split_equally: bool) -> None:  # noqa: FBT001 - of the form
    form = first_form(NOW)
    form.split_equally = split_equally
    form.variants[1].name = "two words"
    checked = check(form, CATALOG)
    assert (checked.proposal, dict(checked.problems)) == (None, {})
    assert set(checked.of_variants) == {(1, "name")}
    assert "'two words'" in checked.of_variants[1, "name"]


@pytest.mark.parametrize("percent", ["0.1", "-1", "101", "a few", "", "0"])
def test_a_wrong_percent_is_said_beside_that_variant(percent: str) -> None:
    form = first_form(NOW)
    form.split_equally = False
    form.variants[1].percent = percent
    checked = check(form, CATALOG)
    assert checked.proposal is None
    assert set(checked.of_variants) == {(1, "percent")}


def test_what_is_wrong_with_several_variants_together_is_said_of_all_of_them() -> None:
    form = first_form(NOW)
    form.split_equally = False
    form.variants[0].percent = form.variants[1].percent = "60"
    checked = check(form, CATALOG)
    assert (set(checked.problems), dict(checked.of_variants)) == ({"variants"}, {})


def test_the_form_of_a_proposal_that_waits_shows_that_proposal() -> None:
    waiting = Proposal(
        settings_group=4,
        starts_at=datetime(2026, 5, 1, tzinfo=UTC),
        ends_at=datetime(2026, 7, 1, tzinfo=UTC),
        conditions="[]",
        filters=(),
        variants=(ProposedVariant(name="control", groups=24, is_control=True), ProposedVariant(name="red", groups=48)),
        split_equally=False,
    )
    form = form_of(waiting, NOW)
    assert (form.ends_at, form.conditions, form.split_equally) == ("2026-07-01T00:00", [], False)
    assert [(each.name, each.percent, each.control) for each in form.variants] == [
        ("control", "1", True),
        ("red", "2", False),
    ]
