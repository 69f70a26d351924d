"""A proposal of settings: what a manager asks to be tested, checked in full before anything is appended.

The document that a manager hands in is JSON. Either every variant has its percent:

    {"starts_at": "2026-05-01", "ends_at": "2026-06-01T00:00:00Z", "conditions": [],
     "variants": [{"name": "control", "percent": 10, "control": true}, {"name": "red", "percent": "12.5"}]}

or there is one total, split equally: `{…, "total_percent": 20, "variants": [{"name": "a"}, {"name": "b"}]}`.

A change of settings keeps users in their variants where it can; `"reshuffle": true` draws all split groups anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.conditions_text import check_length, filters_in, text_of
from domain.keys import is_word
from domain.moments import as_utc, read_moment
from domain.percents import ALL_GROUPS, groups_of, percent_text, read_percent, split_equally
from domain.settings_errors import (
    EmptyVariant,
    EndlessTest,
    EndsBeforeStart,
    NobodyInTest,
    NoStart,
    NoVariants,
    PercentMissing,
    PercentsOrTotal,
    PercentsOverHundred,
    TwoControls,
    UnknownField,
    VariantTwice,
    WrongField,
    WrongVariantName,
)
from events.facts import FilterUsed, ProposedVariant
from usersplit.conditions import Catalog, Conditions, parse

_FIELDS = ("starts_at", "ends_at", "conditions", "total_percent", "variants", "reshuffle")
_VARIANT_FIELDS = ("name", "percent", "control")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsProposal:
    """Valid settings: one that breaks a rule cannot be made.

    Attributes:
        starts_at: first moment, aware, included; kept in UTC.
        ends_at: the end, aware, excluded; kept in UTC.
        conditions: who may take part, checked against the catalog.
        conditions_text: the same as JSON text, exactly the tree that the manager gave.
        variants: in the manager's order, with counts of split groups.
        split_equally: whether one total was given rather than a percent per variant.
        reshuffle: whether all split groups are to be drawn anew, rather than kept where they can be.

    Raises:
        WrongSettings: the subclass that names the broken rule.
    """

    starts_at: datetime
    ends_at: datetime
    conditions: Conditions
    conditions_text: str
    variants: tuple[ProposedVariant, ...]
    split_equally: bool = False
    reshuffle: bool = False

    def __post_init__(self) -> None:
        """Check every rule, and bring the dates to UTC."""
        object.__setattr__(self, "starts_at", as_utc(self.starts_at, "starts_at"))
        object.__setattr__(self, "ends_at", as_utc(self.ends_at, "ends_at"))
        if self.ends_at <= self.starts_at:
            raise EndsBeforeStart(self.starts_at, self.ends_at)
        check_length(self.conditions_text)
        _check_names(self.variants)
        _check_counts(self.variants)

    @property
    def filters(self) -> tuple[FilterUsed, ...]:
        """The catalog's word on every filter in use, sorted by name, as facts carry it."""
        return filters_in(self.conditions)


def parse_proposal(document: object, catalog: Catalog) -> SettingsProposal:
    """Read the document described at the top of this module. No conditions, or `[]`, are everybody.

    Raises:
        WrongSettings: the subclass that names the broken rule.
        usersplit.conditions.ConditionsError: the conditions break a rule of their own.
    """
    if not isinstance(document, Mapping):
        raise WrongField("the proposal", document, "an object with starts_at, ends_at and variants")
    _refuse_unknown("the proposal", document, _FIELDS)
    if document.get("starts_at") is None:
        raise NoStart
    if document.get("ends_at") is None:
        raise EndlessTest
    conditions = document.get("conditions")
    tree: object = [] if conditions is None else conditions
    total = document.get("total_percent")
    variants = _variant_documents(document.get("variants"))
    reshuffle = document.get("reshuffle", False)
    if not isinstance(reshuffle, bool):
        raise WrongField("reshuffle", reshuffle, "true or false")
    return SettingsProposal(
        starts_at=read_moment(document["starts_at"], "starts_at"),
        ends_at=read_moment(document["ends_at"], "ends_at"),
        conditions=parse(tree, catalog),
        conditions_text=text_of(tree),
        variants=_with_percents(variants) if total is None else _with_total(variants, total),
        split_equally=total is not None,
        reshuffle=reshuffle,
    )


def _refuse_unknown(place: str, document: Mapping[str, object], known: Sequence[str]) -> None:
    for field in document:
        if field not in known:
            raise UnknownField(place, field, known)


def _variant_documents(value: object) -> list[Mapping[str, object]]:
    if value is None or value == []:
        raise NoVariants
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise WrongField("variants", value, 'a list such as [{"name": "control", "percent": 50, "control": true}]')
    for variant in value:
        if not isinstance(variant, Mapping):
            raise WrongField("a variant", variant, 'an object such as {"name": "red", "percent": 50}')
        _refuse_unknown("a variant", variant, _VARIANT_FIELDS)
        if not isinstance(variant.get("name"), str):
            raise WrongField("the name of a variant", variant.get("name"), "a text")
        if not isinstance(variant.get("control", False), bool):
            raise WrongField(f"control of variant {variant['name']!r}", variant["control"], "true or false")
    return list(value)


def _with_percents(variants: Sequence[Mapping[str, object]]) -> tuple[ProposedVariant, ...]:
    return tuple(_proposed(variant, _own_groups(variant)) for variant in variants)


def _own_groups(variant: Mapping[str, object]) -> int:
    name = str(variant["name"])
    percent = variant.get("percent")
    if percent is None:
        raise PercentMissing(name)
    what = f"variant {name!r}"
    return groups_of(read_percent(percent, what), what)


def _with_total(variants: Sequence[Mapping[str, object]], total: object) -> tuple[ProposedVariant, ...]:
    for variant in variants:
        if variant.get("percent") is not None:
            raise PercentsOrTotal(str(variant["name"]))
    percent = read_percent(total, "the test")
    if not percent:
        raise NobodyInTest
    share = split_equally(percent, len(variants))
    return tuple(_proposed(variant, share) for variant in variants)


def _proposed(variant: Mapping[str, object], groups: int) -> ProposedVariant:
    return ProposedVariant(name=str(variant["name"]), groups=groups, is_control=variant.get("control", False) is True)


def _check_names(variants: Sequence[ProposedVariant]) -> None:
    if not variants:
        raise NoVariants
    seen: set[str] = set()
    for variant in variants:
        if not is_word(variant.name):
            raise WrongVariantName(variant.name)
        if variant.name in seen:
            raise VariantTwice(variant.name)
        seen.add(variant.name)
    controls = [variant.name for variant in variants if variant.is_control]
    if len(controls) > 1:
        raise TwoControls(controls)


def _check_counts(variants: Sequence[ProposedVariant]) -> None:
    total = sum(variant.groups for variant in variants)
    if total > ALL_GROUPS:
        raise PercentsOverHundred(percent_text(total))
    if total <= 0:
        raise NobodyInTest
    for variant in variants:
        if variant.groups < 0 or (variant.groups == 0 and not variant.is_control):
            raise EmptyVariant(variant.name)
