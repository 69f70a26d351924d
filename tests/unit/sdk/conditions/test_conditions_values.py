import enum
import numbers
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from usersplit.conditions import Catalog, Conditions, Filter, FilterType, WrongValue, parse

MAY = datetime(2026, 5, 1, tzinfo=UTC)


class Country(enum.IntEnum):
    RUSSIA = 50


class Platform(enum.StrEnum):
    IOS = "iOS"


class Whole(int):
    def __eq__(self, other: object) -> bool:
        raise AssertionError

    __hash__ = int.__hash__


class Share(float):
    pass


class Moment(datetime):
    def utcoffset(self) -> timedelta | None:
        raise AssertionError


class BrokenZone(tzinfo):
    def utcoffset(self, _: datetime | None, /) -> timedelta:
        raise RuntimeError

    def dst(self, _: datetime | None, /) -> timedelta:
        raise RuntimeError

    def tzname(self, _: datetime | None, /) -> str:
        raise RuntimeError


class Liar:
    """Pretends to be a text to those who ask `isinstance`."""

    @property  # type: ignore[misc] # overriding __class__ is what makes it a liar
    def __class__(self) -> Any:
        return str


def conditions(type_: FilterType, operator: str, value: object) -> Conditions:
    return parse([{"filter": "a", "operator": operator, "value": value}], Catalog([Filter("a", type_, "user")]))


def values_of(type_: FilterType, value: object) -> object:
    leaf = conditions(type_, "eq", value).root.nodes[0]
    return getattr(leaf, "value")  # noqa: B009 - the node is a leaf here


@pytest.mark.parametrize(
    ("type_", "spelled", "value"),
    [
        ("boolean", "Yes", True),
        ("boolean", "nO", False),
        ("boolean", "TRUE", True),
        ("boolean", "0", False),
        ("boolean", 1, True),
        ("boolean", False, False),
        ("integer", "50", 50),
        ("integer", "-050", -50),
        ("integer", 2**63 - 1, 2**63 - 1),
        ("number", "1.5", 1.5),
        ("number", 7, 7.0),
        ("number", "-2e3", -2000.0),
        ("string", " Ю ", " Ю "),
        ("version", "1.10.2", (1, 10, 2)),
        ("version", "1.0.0", (1,)),
        ("version", "0", ()),
        ("version", "01.2", (1, 2)),
        ("time", "2026-05-01", MAY),
        ("time", "2026-05-01T03:00:00+03:00", MAY),
        ("time", "2026-04-30t23:30:00-00:30", MAY),
        ("time", "2026-05-01 00:00:00.123456789Z", MAY + timedelta(microseconds=123456)),
    ],
)
def test_a_value_is_read_by_the_filters_type(type_: FilterType, spelled: object, value: object) -> None:
    read = values_of(type_, spelled)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("type_", "spelled"),
    [
        ("boolean", "maybe"),
        ("boolean", 2),
        ("boolean", 1.0),
        ("boolean", ""),
        ("integer", 1.5),
        ("integer", 50.0),
        ("integer", "1.5"),
        ("integer", " 50"),
        ("integer", "50\n"),
        ("integer", "\u0665\u0660"),
        ("integer", "1_000"),
        ("integer", True),
        ("integer", "9223372036854775808"),
        ("number", float("nan")),
        ("number", float("inf")),
        ("number", "1e999"),
        ("number", "nan"),
        ("number", "1,5"),
        ("number", True),
        ("number", 10**400),
        ("string", 50),
        ("string", True),
        ("version", 1.1),
        ("version", "1..2"),
        ("version", "1.2-beta"),
        ("version", "1." * 100),
        ("version", "1234567890"),
        ("time", "2026-05-01T10:00:00"),
        ("time", "2026-02-30"),
        ("time", "2026-05-01T10:00:60Z"),
        ("time", "2026-05-01T10:00:00+24:00"),
        ("time", "9999-12-31T23:59:59-01:00"),
        ("time", "today"),
        ("time", 1_777_000_000),
    ],
)
def test_a_value_of_another_type_is_refused(type_: FilterType, spelled: object) -> None:
    with pytest.raises(WrongValue):
        values_of(type_, spelled)


def test_versions_are_compared_by_number_and_not_by_text() -> None:
    newer = conditions("version", "gt", "1.9")
    assert newer.matches({"a": "1.10"}, {})
    assert not newer.matches({"a": "1.9.0"}, {})
    assert conditions("version", "in", ["2", "1.0"]).matches({"a": "1.0.0.0"}, {})


@pytest.mark.parametrize(
    ("type_", "value", "attribute"),
    [
        ("boolean", "Yes", "yes"),
        ("boolean", "Yes", 1),
        ("integer", 50, "50"),
        ("integer", 50, Country.RUSSIA),
        ("integer", 50, Whole(50)),
        ("number", 1, True + 0),
        ("number", "0.5", "0.50"),
        ("number", "0.5", Share(0.5)),
        ("string", "iOS", Platform.IOS),
        ("version", "5.0", "5"),
        ("time", "2026-05-01", date(2026, 5, 1)),
        ("time", "2026-05-01", datetime(2026, 5, 1, 3, tzinfo=ZoneInfo("Europe/Moscow"))),
        ("time", "2026-05-01", datetime(2026, 4, 30, 23, tzinfo=timezone(timedelta(hours=-1)))),
        ("time", "2026-05-01", Moment(2026, 5, 1, tzinfo=UTC)),
        ("time", "2026-05-01", "2026-05-01T00:00:00Z"),
    ],
)
def test_attributes_are_read_by_the_same_rules_as_values(type_: FilterType, value: object, attribute: object) -> None:
    assert conditions(type_, "eq", value).matches({"a": attribute}, {})
    assert not conditions(type_, "ne", value).matches({"a": attribute}, {})


UNREADABLE: list[tuple[FilterType, object, object]] = [
    ("boolean", "Yes", None),
    ("boolean", "Yes", 2),
    ("boolean", "Yes", "maybe"),
    ("integer", 50, True),
    ("integer", 50, 50.0),
    ("integer", 50, 2**63),
    ("integer", 50, -(2**70)),
    ("integer", 50, [50]),
    ("number", 1, float("nan")),
    ("number", 1, float("-inf")),
    ("number", 1, float("inf")),
    ("number", 1, 10**400),
    ("number", 1, False),
    ("string", "x", b"x"),
    ("string", "x", 5),
    ("version", "1", 1),
    ("version", "1", "one"),
    ("time", "2026-05-01", datetime(2026, 5, 1)),  # noqa: DTZ001 - a moment without a zone is what is tested
    ("time", "2026-05-01", datetime(2026, 5, 1, tzinfo=BrokenZone())),
    ("time", "2026-05-01", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
    ("time", "2026-05-01", 0),
]


@pytest.mark.parametrize(("type_", "value", "attribute"), UNREADABLE)
def test_an_attribute_that_is_no_value_of_the_type_meets_no_leaf(
    type_: FilterType, value: object, attribute: object
) -> None:
    catalog = Catalog([Filter("a", type_, "user")])
    for operator in catalog["a"].allowed_operators:
        spelled = [value] if operator in {"in", "not_in"} else value
        asked = parse([{"filter": "a", "operator": operator, "value": spelled}], catalog)
        assert not asked.matches({"a": attribute}, {})
        assert not asked.explain({"a": attribute}, {}).matched


def test_an_object_that_lies_about_its_class_meets_no_leaf() -> None:
    for type_, value in (("string", "x"), ("integer", 1), ("time", "2026-05-01"), ("boolean", "Yes")):
        asked = conditions(type_, "ne", value)  # type: ignore[arg-type] # the literals above are filter types
        assert not asked.matches({"a": Liar()}, {})
        assert asked.explain({"a": Liar()}, {}).decisive[0].reason == "wrong_type"


@numbers.Integral.register
class BrokenInteger:
    def __index__(self) -> int:
        raise RuntimeError


@pytest.mark.parametrize(
    ("type_", "value", "attribute", "is_met"),
    [
        ("number", "9.5", Decimal("9.50"), True),
        ("number", "0.5", Fraction(1, 2), True),
        ("number", "9.5", Decimal("sNaN"), False),
        ("number", "9.5", Decimal("1e999"), False),
        ("integer", "9", Decimal(9), False),
        ("integer", "9", Fraction(9), False),
        ("integer", "9", BrokenInteger(), False),
        ("number", "9", BrokenInteger(), False),
        ("string", "9", Decimal(9), False),
    ],
)
def test_numbers_of_other_classes_count_as_the_number_they_are(
    type_: FilterType, value: object, attribute: object, *, is_met: bool
) -> None:
    asked = conditions(type_, "eq", value)
    assert asked.matches({"a": attribute}, {}) is asked.explain({"a": attribute}, {}).matched is is_met


def test_numpys_scalars_count_as_the_values_they_are() -> None:
    numpy = pytest.importorskip("numpy", reason="it is no dependency of the SDK")
    whole, share, yes = numpy.int64(50), numpy.float32(1.5), numpy.bool_(True)  # noqa: FBT003 - numpy's own signature
    equal: list[tuple[FilterType, object, object]] = [
        ("integer", "50", whole),
        ("integer", "50", numpy.uint8(50)),
        ("number", "50", whole),
        ("number", "1.5", share),
        ("boolean", "Yes", yes),
        ("boolean", "No", numpy.bool_(False)),  # noqa: FBT003 - as above
        ("string", "a", numpy.str_("a")),
    ]
    for type_, value, attribute in equal:
        assert conditions(type_, "eq", value).matches({"a": attribute}, {}), type_
    unknown: list[tuple[FilterType, object]] = [
        ("integer", share),
        ("integer", yes),
        ("integer", numpy.array([50])),
        ("number", numpy.float64("nan")),
        ("integer", numpy.uint64(2**63)),
        ("boolean", share),
    ]
    for type_, attribute in unknown:
        value = "Yes" if type_ == "boolean" else "1"
        assert not conditions(type_, "ne", value).matches({"a": attribute}, {}), (type_, attribute)
