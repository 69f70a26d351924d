"""The settings form: what a manager has typed so far, to and from the proposal that a command takes.

It survives a reload as JSON text in the browser. What is wrong with it is said by the domain; here it is only found out
beside which field the sentence belongs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeAlias

import msgspec

from domain import settings_errors
from domain.percents import GROUPS_PER_PERCENT, percent_text
from domain.rebalancing import rebalanced
from domain.settings import SettingsProposal, parse_proposal
from domain.settings_errors import WrongSettings
from projections.current_settings import CurrentSettings
from projections.proposals import Proposal
from usersplit.conditions import Catalog, Conditions, ConditionsError, parse
from web.refusals import sentence

FieldName: TypeAlias = Literal["starts_at", "ends_at", "conditions", "variants", "total"]
VariantField: TypeAlias = tuple[int, Literal["name", "percent"]]
"""A field of the variant at a place, the first one at 0."""

_LASTS: Final = timedelta(days=14)
_OF_START: Final = (settings_errors.NoStart,)
_OF_END: Final = (settings_errors.EndlessTest, settings_errors.EndsBeforeStart)
_OF_CONDITIONS: Final = (settings_errors.ConditionsTooLong,)
_OF_TOTAL: Final = (settings_errors.TotalNotDivisible,)
_OF_ONE_PERCENT: Final = (
    settings_errors.PercentMissing,
    settings_errors.PercentNotExact,
    settings_errors.PercentOutOfRange,
    settings_errors.EmptyVariant,
    settings_errors.WrongField,
)


@dataclass(slots=True, kw_only=True)
class VariantRow:
    """A variant as it is typed; `percent` counts where the total is not split equally."""

    name: str = ""
    percent: str = ""
    control: bool = False


@dataclass(slots=True, kw_only=True)
class SettingsForm:
    """The whole form. Moments are as a date-and-time field of a browser has them, in UTC: `2026-05-01T09:30`."""

    starts_at: str = ""
    ends_at: str = ""
    conditions: list[Any] = field(default_factory=list)
    split_equally: bool = True
    total_percent: str = "20"
    variants: list[VariantRow] = field(default_factory=list)
    reshuffle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A form that was looked through: a proposal and its conditions where nothing is wrong, sentences by field else.

    What is wrong with one variant by itself stands in `of_variants`, by its place and field, and not in `problems` too.
    """

    proposal: SettingsProposal | None
    conditions: Conditions | None
    problems: Mapping[FieldName, str]
    conditions_path: str = ""
    of_variants: Mapping[VariantField, str] = field(default_factory=dict)


def first_form(now: datetime) -> SettingsForm:
    """Return what a test without settings begins with: from tomorrow for two weeks, everybody, 20 % in two halves."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return SettingsForm(
        starts_at=_moment_text(start),
        ends_at=_moment_text(start + _LASTS),
        variants=[VariantRow(name="control", percent="10", control=True), VariantRow(name="test", percent="10")],
    )


def form_of(settings: CurrentSettings | Proposal, now: datetime) -> SettingsForm:
    """Return the form that shows settings, in force or proposed; the first form where there are none yet."""
    starts_at, ends_at = settings.starts_at, settings.ends_at
    if starts_at is None or ends_at is None:
        return first_form(now)
    groups = [variant.groups for variant in settings.variants]
    return SettingsForm(
        starts_at=_moment_text(starts_at),
        ends_at=_moment_text(ends_at),
        conditions=msgspec.json.decode(settings.conditions),
        split_equally=len(set(groups)) == 1,
        total_percent=percent_text(sum(groups)),
        variants=[
            VariantRow(name=variant.name, percent=percent_text(variant.groups), control=variant.is_control)
            for variant in settings.variants
        ],
    )


def to_text(form: SettingsForm) -> str:
    """Return the form as text, to be kept where a reload does not reach."""
    return msgspec.json.encode(form).decode()


def from_text(text: str) -> SettingsForm | None:
    """Return the form that was kept, None if the text is no form (any more): then there is nothing to restore."""
    try:
        return msgspec.json.decode(text, type=SettingsForm)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


def proposal_document(form: SettingsForm) -> dict[str, Any]:
    """Return the document of `domain.settings` that the form asks for."""
    document: dict[str, Any] = {
        "starts_at": _moment_document(form.starts_at),
        "ends_at": _moment_document(form.ends_at),
        "conditions": form.conditions,
        "variants": [_variant_document(form, variant) for variant in form.variants],
    }
    if form.split_equally:
        document["total_percent"] = form.total_percent
    if form.reshuffle:
        document["reshuffle"] = True
    return document


def check(form: SettingsForm, catalog: Catalog) -> Checked:
    """Look through the form, each part of it by itself, so that every field hears what is wrong with it at once."""
    problems: dict[FieldName, str] = {}
    conditions, path = None, ""
    try:
        conditions = parse(form.conditions, catalog)
    except ConditionsError as error:
        problems["conditions"], path = error.problem, error.path
    document = proposal_document(form) | ({} if conditions else {"conditions": []})
    proposal = _parsed(document, catalog, problems)
    if proposal is None and problems.keys() & {"starts_at", "ends_at"}:
        # The dates were looked at first, and the first error hides those of the variants.
        _parsed(document | {"starts_at": "2000-01-01", "ends_at": "2000-01-02"}, catalog, problems)
    of_variants = _problems_of_variants(form, catalog)
    if of_variants:
        problems.pop("variants", None)
    return Checked(
        proposal=None if problems or of_variants else proposal,
        conditions=conditions,
        problems=problems,
        conditions_path=path,
        of_variants=of_variants,
    )


def with_percent(form: SettingsForm, index: int, text: str) -> bool:
    """Take in what is typed as the percent of a variant, and let the others follow; False while it is no number."""
    form.variants[index].percent = text
    groups = [_groups(variant.percent) for variant in form.variants]
    wanted = groups[index]
    if wanted is None:
        return False
    before = [0 if each is None or place == index else each for place, each in enumerate(groups)]
    before[index] = max(_total_groups(form) - sum(before), 0)
    after = rebalanced(before, changed=index, wanted=wanted)
    for place, count in enumerate(after):
        if place != index:
            form.variants[place].percent = percent_text(count)
    form.total_percent = percent_text(sum(after))
    return True


def add_variant(form: SettingsForm) -> None:
    """Add a variant with a name that is free; without a percent of its own, until one is typed."""
    taken = {variant.name for variant in form.variants}
    name = next(name for name in (f"test{number or ''}" for number in (0, *range(2, 1000))) if name not in taken)
    form.variants.append(VariantRow(name=name, percent="0"))


def mark_control(form: SettingsForm, index: int | None) -> None:
    """Make one variant control, or none."""
    for place, variant in enumerate(form.variants):
        variant.control = place == index


def _parsed(document: Mapping[str, Any], catalog: Catalog, problems: dict[FieldName, str]) -> SettingsProposal | None:
    try:
        return parse_proposal(document, catalog)
    except WrongSettings as error:
        problems.setdefault(_field_of(error), sentence(error))
        return None


def _problems_of_variants(form: SettingsForm, catalog: Catalog) -> dict[VariantField, str]:
    """Return what is wrong with each variant by itself: it is looked at beside another one that is surely right."""
    found: dict[VariantField, str] = {}
    for place, variant in enumerate(form.variants):
        pair = [variant, VariantRow(name="b" if variant.name.strip() == "a" else "a", percent="0.125")]
        alone = replace(form, variants=pair, split_equally=False, conditions=[])
        if form.split_equally:
            alone.variants = [replace(each, percent="1", control=False) for each in pair]
        try:
            parse_proposal({**proposal_document(alone), "starts_at": "2000-01-01", "ends_at": "2000-01-02"}, catalog)
        except settings_errors.WrongVariantName as error:
            found[place, "name"] = sentence(error)
        except _OF_ONE_PERCENT as error:
            found[place, "percent"] = sentence(error)
        except WrongSettings:
            pass  # it comes of the pair
    return found


def _field_of(error: WrongSettings) -> FieldName:
    text = str(error)
    if isinstance(error, _OF_START) or text.startswith("starts_at"):
        return "starts_at"
    if isinstance(error, _OF_END) or text.startswith("ends_at"):
        return "ends_at"
    if isinstance(error, _OF_CONDITIONS):
        return "conditions"
    if isinstance(error, _OF_TOTAL) or "for the test" in text or "of the test" in text:
        return "total"
    return "variants"


def _variant_document(form: SettingsForm, variant: VariantRow) -> dict[str, Any]:
    document: dict[str, Any] = {"name": variant.name.strip()}
    if variant.control:
        document["control"] = True
    if not form.split_equally:
        document["percent"] = variant.percent.strip().replace(",", ".") or None
    return document


def _moment_text(moment: datetime) -> str:
    # As exact as it takes, so that a proposal that leaves the dates alone leaves them as they are.
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="minutes" if not (utc.second or utc.microsecond) else "auto")


def _moment_document(text: str) -> str | None:
    trimmed = text.strip()
    if not trimmed:
        return None
    return f"{trimmed}Z" if "T" in trimmed and not trimmed.endswith("Z") else trimmed


def _total_groups(form: SettingsForm) -> int:
    return _groups(form.total_percent) or 0


def _groups(percent: str) -> int | None:
    try:
        wanted = Decimal(percent.strip().replace(",", ".") or "0")
    except InvalidOperation:
        return None
    return int(wanted * GROUPS_PER_PERCENT) if wanted.is_finite() and abs(wanted) <= 100 else None  # noqa: PLR2004 - percent


def bar_of(form: SettingsForm, *, split_equally: bool | None = None) -> list[tuple[str, int]]:
    """Return the variants with about as many split groups as they would get, to be shown while somebody types."""
    if form.split_equally if split_equally is None else split_equally:
        share = _total_groups(form) // max(len(form.variants), 1)
        return [(variant.name, share) for variant in form.variants]
    return [(variant.name, _groups(variant.percent) or 0) for variant in form.variants]


def shared_equally(form: SettingsForm) -> str:
    """Return what each variant gets of one total, as text; a dash where the total is no number."""
    total = _groups(form.total_percent)
    return "–" if total is None or not form.variants else f"{percent_text(total // len(form.variants))} %"
