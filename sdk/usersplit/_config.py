"""A test's config as a check uses it: parsed, validated and laid out for speed, once per document.

The format of the document is described in docs/config-documents.md.
"""

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from usersplit._errors import ConfigFromTheFuture, MalformedConfig, MiskeyedConfig
from usersplit._split_groups import SPLIT_GROUPS, is_split_group
from usersplit.conditions import Catalog, Conditions, ConditionsError, parse

FORMAT: Final = 1
KIND: Final = "split_test"

Status: TypeAlias = Literal["draft", "in_dev", "running", "paused", "finished", "rejected", "discarded"]
ResultScope: TypeAlias = Literal["worldwide", "conditions"]

_STATUSES: Final[tuple[Status, ...]] = get_args(Status)
_SCOPES: Final[tuple[ResultScope, ...]] = get_args(ResultScope)
_FORGOTTEN: Final = ("draft", "discarded")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EVERYBODY: Final = parse([], Catalog([]))


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
        result: name of the resulting variant of a finished test, else "".
        result_scope: who gets the result.
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
    variant_by_group: Sequence[int] = bytes(SPLIT_GROUPS + 1)
    result: str = ""
    result_scope: ResultScope = "conditions"


def parse_config(text: bytes | str, *, key: str) -> SplitTestConfig | None:
    """Return the config in the JSON `text`, or None if it is a document of another kind.

    Raises:
        MalformedConfig: it is not what docs/config-documents.md describes.
        MiskeyedConfig: it is the document of another test than `key`.
        ConfigFromTheFuture: its format is newer than this SDK.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedConfig(f"The config of {key} is no JSON ({error}); it may be torn.") from error
    return config_from_document(document, key=key)


def config_from_document(document: object, *, key: str) -> SplitTestConfig | None:
    """As `parse_config`, of decoded JSON."""
    if not isinstance(document, dict):
        raise MalformedConfig(f"The config of {key} is no JSON object.")
    form = _whole_number(document, "format", key)
    if form > FORMAT:
        raise ConfigFromTheFuture(f"The config of {key} has the format {form}, this SDK knows {FORMAT}: upgrade it.")
    if form != FORMAT:
        raise MalformedConfig(f"The config of {key} has the format {form}; there is no such format.")
    if document.get("kind") != KIND:
        return None
    if document.get("key") != key:
        raise MiskeyedConfig(f"The config in the place of {key} says that it is of {document.get('key')!r}.")
    position = _whole_number(document, "position", key)
    status = document.get("status")
    if status not in _STATUSES:
        raise MalformedConfig(f"The config of {key} has the status {status!r}, which is none.")
    if status in _FORGOTTEN:
        return SplitTestConfig(key=key, position=position, status=status)
    return _settled(document, key=key, position=position, status=status)


def _settled(document: dict[str, Any], *, key: str, position: int, status: Status) -> SplitTestConfig:
    settings_group = _whole_number(document, "settings_group", key)
    if settings_group == 0:
        return SplitTestConfig(key=key, position=position, status=status, type=str(document.get("type", "")))
    variants, variant_by_group = _variants(document, key)
    result, result_scope = _result(document, key, status)
    starts_at_ns, ends_at_ns = _moment(document, "starts_at", key), _moment(document, "ends_at", key)
    return SplitTestConfig(
        key=key,
        position=position,
        status=status,
        type=str(document.get("type", "")),
        settings_group=settings_group,
        starts_at_ns=starts_at_ns,
        ends_at_ns=ends_at_ns,
        conditions=_conditions(document, key),
        variants=variants,
        variant_by_group=variant_by_group,
        result=result,
        result_scope=result_scope,
    )


def _whole_number(document: Mapping[str, Any], field: str, key: str) -> int:
    value = document.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedConfig(f"The config of {key} needs a whole number as its {field}, not {value!r}.")
    return value


def _moment(document: Mapping[str, Any], field: str, key: str) -> int:
    try:
        moment = datetime.fromisoformat(document[field])
        # In whole microseconds: a float would move the edge of the test.
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedConfig(f"The config of {key} needs an RFC 3339 time with its zone as {field}.") from error


def _conditions(document: Mapping[str, Any], key: str) -> Conditions:
    try:
        conditions = parse(document["conditions"], Catalog.from_document(document.get("filters", {})))
        conditions.compile_now()  # here, in the background, and not for the first visitor
    except ConditionsError as error:
        raise MalformedConfig(f"The conditions of {key} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise MalformedConfig(f"The config of {key} has no readable conditions: {error!r}.") from error
    return conditions


def _variants(document: Mapping[str, Any], key: str) -> tuple[tuple[str, ...], Sequence[int]]:
    declared = document.get("variants")
    if not isinstance(declared, list):
        raise MalformedConfig(f"The config of {key} needs a list of variants.")
    names = [""]
    table = array("H", bytes(2 * (SPLIT_GROUPS + 1)))
    for variant in declared:
        if not isinstance(variant, dict) or not isinstance(variant.get("split_groups"), list):
            raise MalformedConfig(f"A variant of {key} needs a name and a list of split_groups.")
        name = variant.get("name")
        if not isinstance(name, str) or not name or name in names:
            raise MalformedConfig(f"A variant of {key} needs a name of its own, not {name!r}.")
        names.append(name)
        for group in variant["split_groups"]:
            if not is_split_group(group) or table[group]:
                raise MalformedConfig(f"The variants of {key} cannot own {group!r}: no split group, or owned twice.")
            table[group] = len(names) - 1
    # A byte per group where it can be: with a thousand tests in memory it is the largest part of a config.
    return tuple(names), bytes(table.tolist()) if len(names) <= 256 else table  # noqa: PLR2004 - what a byte counts


def _result(document: Mapping[str, Any], key: str, status: Status) -> tuple[str, ResultScope]:
    if status != "finished":
        return "", "conditions"
    result = document.get("result")
    if isinstance(result, dict):
        variant, scope = result.get("variant"), result.get("scope")
        if isinstance(variant, str) and variant and scope in _SCOPES:
            return variant, scope
    raise MalformedConfig(f"The finished test {key} needs a result with a variant and a scope, not {result!r}.")
