"""A test's config as a check uses it: parsed, validated and laid out for speed, once per document.

The format of the document is described in docs/config-documents.md.
"""

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from usersplit._compiled_check import CLIENT_TYPES, Check, compile_drawn, compile_nobody, compile_result, undecided
from usersplit._config_fields import conditions_in, shown, whole_number
from usersplit._errors import MalformedConfig
from usersplit._split_groups import SPLIT_GROUPS
from usersplit.conditions import Catalog, Conditions, parse

KIND: Final = "split_test"

Status: TypeAlias = Literal["draft", "in_dev", "running", "paused", "finished", "rejected", "discarded"]
ResultScope: TypeAlias = Literal["worldwide", "conditions"]

_STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_SCOPES: Final[tuple[ResultScope, ...]] = get_args(ResultScope)
_FORGOTTEN: Final = ("draft", "discarded")
_OVER: Final = ("finished", "rejected")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EVERYBODY: Final = parse([], Catalog([]))
_NOBODY: Final = bytes(SPLIT_GROUPS + 1)
_CHECK_NOBODY: Final = compile_nobody()


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitTestConfig:
    """One split test, ready to be checked.

    Attributes:
        key: the test's key.
        position: of the fact that last changed the document; an older one never replaces a newer one.
        status: where the test is in its life.
        type: web, mobile, server …
        settings_group: number of the current settings group; 0 while none is prepared.
        starts_at_ns: Unix time in nanoseconds from which the test runs.
        ends_at_ns: Unix time in nanoseconds from which it runs no more.
        conditions: who may get a variant.
        variants: the names, in the manager's order, after an empty name at index 0.
        variant_by_group: for each split group, the index in `variants`; 2401 entries, 0 is no variant.
        control: the name of the control variant, else "".
        result: name of the resulting variant of a finished test, else "".
        result_scope: who gets the result.
        may_give_variants: whether anybody can get a variant at all, as long as this config is in force.
        logs_hits: whether hits are logged: the experiment is not over.
        check: the compiled answer, see `_compiled_check`.
    """

    key: str
    position: int
    status: Status
    type: str = ""
    settings_group: int = 0
    starts_at_ns: int = 0
    ends_at_ns: int = 0
    conditions: Conditions = _EVERYBODY
    variants: tuple[str, ...] = ("",)
    variant_by_group: Sequence[int] = _NOBODY
    control: str = ""
    result: str = ""
    result_scope: ResultScope = "conditions"
    may_give_variants: bool = field(init=False)
    logs_hits: bool = field(init=False)
    check: Check = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        is_drawn = self.status in ("running", "in_dev") and bool(self.settings_group)
        object.__setattr__(self, "may_give_variants", is_drawn or bool(self.result))
        object.__setattr__(self, "logs_hits", self.status not in _OVER)
        object.__setattr__(self, "check", self.compiled())

    def compiled(self, now_ns: Callable[[], int] = time.time_ns) -> Check:
        """Return `check`, with a clock."""
        if self.status == "discarded":
            return undecided  # asking for it is dead code, which the longer way takes note of
        if not self.may_give_variants:
            return _CHECK_NOBODY
        client_key = self.key if self.type in CLIENT_TYPES else None
        if self.result:
            conditions = None if self.result_scope == "worldwide" else self.conditions
            return compile_result(self.result, conditions, client_key)
        return compile_drawn(
            conditions=self.conditions,
            variants=self.variants,
            variant_by_group=self.variant_by_group,
            dates_ns=(self.starts_at_ns, self.ends_at_ns) if self.status == "running" else None,
            for_test_users=self.status == "in_dev",
            client_key=client_key,
            now_ns=now_ns,
        )


def split_test_from_document(document: Mapping[str, Any], *, key: str) -> SplitTestConfig:
    """Return the split test in a decoded document, whose format, kind and key were looked at already.

    Raises:
        MalformedConfig: it is not what docs/config-documents.md describes.
    """
    position = whole_number(document, "position", key)
    status = document.get("status")
    if not isinstance(status, str) or status not in _STATUSES:
        raise MalformedConfig(f"The config of {key} has the status {shown(status)}, which is none.")
    if status in _FORGOTTEN:
        return SplitTestConfig(key=key, position=position, status=status)
    return _settled(document, key=key, position=position, status=status)


def _settled(document: Mapping[str, Any], *, key: str, position: int, status: Status) -> SplitTestConfig:
    settings_group = whole_number(document, "settings_group", key)
    type_ = document.get("type", "")
    if not isinstance(type_, str):
        raise MalformedConfig(f"The config of {key} needs a word as its type, not {shown(type_)}.")
    if settings_group == 0:
        return SplitTestConfig(key=key, position=position, status=status, type=type_)
    variants, variant_by_group, control = _variants(document, key)
    result, result_scope = _result(document, key, status)
    return SplitTestConfig(
        key=key,
        position=position,
        status=status,
        type=type_,
        settings_group=settings_group,
        starts_at_ns=_moment(document, "starts_at", key),
        ends_at_ns=_moment(document, "ends_at", key),
        conditions=conditions_in(document, key),
        variants=variants,
        variant_by_group=variant_by_group,
        control=control,
        result=result,
        result_scope=result_scope,
    )


def _moment(document: Mapping[str, Any], field: str, key: str) -> int:
    try:
        moment = datetime.fromisoformat(document[field])
        # In whole microseconds: a float would move the edge of the test.
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedConfig(f"The config of {key} needs an RFC 3339 time with its zone as {field}.") from error


def _variants(document: Mapping[str, Any], key: str) -> tuple[tuple[str, ...], Sequence[int], str]:
    declared = document.get("variants")
    if not isinstance(declared, list):
        raise MalformedConfig(f"The config of {key} needs a list of variants.")
    names = [""]
    control = ""
    # A byte per group where it can be: with a thousand tests in memory it is the largest part of a config.
    is_small = len(declared) < 256  # noqa: PLR2004 - what a byte counts
    table: bytearray | array[int] = (
        bytearray(SPLIT_GROUPS + 1) if is_small else array("H", bytes(2 * (SPLIT_GROUPS + 1)))
    )
    owned = 0
    for variant in declared:
        if not isinstance(variant, dict) or not isinstance(variant.get("split_groups"), list):
            raise MalformedConfig(f"A variant of {key} needs a name and a list of split_groups.")
        name = variant.get("name")
        if not isinstance(name, str) or not name or name in names:
            raise MalformedConfig(f"A variant of {key} needs a name of its own, not {shown(name)}.")
        control = name if variant.get("is_control") is True else control
        groups = _split_groups(variant["split_groups"], key)
        index, owned = len(names), owned + len(groups)
        for group in groups:
            table[group] = index
        names.append(name)
    if owned != SPLIT_GROUPS + 1 - table.count(0):
        raise MalformedConfig(f"The variants of {key} own a split group twice.")
    return tuple(names), bytes(table) if isinstance(table, bytearray) else table, control


def _split_groups(groups: list[Any], key: str) -> list[int]:
    """Return the groups if they are. Looked at as a whole: one by one, it is most of the work of reading a config."""
    if groups and (set(map(type, groups)) != {int} or min(groups) < 1 or max(groups) > SPLIT_GROUPS):
        wrong = next(group for group in groups if type(group) is not int or not 0 < group <= SPLIT_GROUPS)
        raise MalformedConfig(f"The variants of {key} cannot own {shown(wrong)}, which is no split group.")
    return groups


def _result(document: Mapping[str, Any], key: str, status: Status) -> tuple[str, ResultScope]:
    if status != "finished":
        return "", "conditions"
    result = document.get("result")
    if isinstance(result, dict):
        variant, scope = result.get("variant"), result.get("scope")
        if isinstance(variant, str) and variant and scope in _SCOPES:
            return variant, scope
    raise MalformedConfig(f"The finished test {key} needs a result with a variant and a scope, not {shown(result)}.")
