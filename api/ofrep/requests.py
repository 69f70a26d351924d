"""What a client asks: the body of an evaluation, read into a unit and its visit, or one of the protocol's errors."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import msgspec

from usersplit import SPLIT_GROUPS

MOST_BODY_BYTES: Final = 256 * 1024

SplitGroups: TypeAlias = Literal["given", "hashed"]
"""Where a unit's split group comes from: its context says it, or it is computed from the targeting key."""

ErrorCode: TypeAlias = Literal["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"]

UNIT_TYPES: Final = ("user", "device", "guest")
NOBODY: Final[Mapping[str, object]] = MappingProxyType({})

_NAMES_OF_GROUP: Final = ("split_group", "splitGroup")


class OfrepError(Exception):
    """An error as the protocol has it."""

    def __init__(self, status: int, code: ErrorCode, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail

    def body(self, key: str | None) -> bytes:
        """Return the body of the answer; `key` is that of a single evaluation."""
        document: dict[str, str] = {} if key is None else {"key": key}
        # In ASCII: a key may hold half a surrogate pair, which UTF-8 has no bytes for.
        return json.dumps({**document, "errorCode": self.code, "errorDetails": self.detail}).encode("ascii")


class _Request(msgspec.Struct):
    context: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Quick(msgspec.Struct):
    context: dict[str, Any]


_quick_decoder: Final = msgspec.json.Decoder(_Quick)
_decoder: Final = msgspec.json.Decoder(_Request)
_context_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def read_context(body: bytes) -> dict[str, Any]:
    """Return the evaluation context of a body.

    Raises:
        OfrepError: it is no JSON, has no context, or the context has no targeting key.
    """
    try:
        context = _quick_decoder.decode(body).context
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong_body(body, error) from error
    key = context.get("targetingKey")
    if type(key) is not str or not key:
        if key is None or key == "":
            raise OfrepError(400, "TARGETING_KEY_MISSING", "context.targetingKey is missing; say who is asked about")
        raise OfrepError(400, "INVALID_CONTEXT", "context.targetingKey must be a text")
    return context


def _wrong_body(body: bytes, error: Exception) -> OfrepError:
    try:
        context = _decoder.decode(body).context
    except msgspec.ValidationError:
        return OfrepError(400, "INVALID_CONTEXT", 'the body must be an object, such as {"context": {…}}')
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return OfrepError(400, "PARSE_ERROR", f"the body is no JSON: {error}")
    if context is msgspec.UNSET:
        return OfrepError(400, "INVALID_CONTEXT", 'the body has no "context"')
    return OfrepError(400, "INVALID_CONTEXT", "context must be an object")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is asked about.

    Attributes:
        unit_type: user, device or guest.
        unit_id: the targeting key.
        device_id: the device, where the context says it.
        group: the split group; 0 where it is not known.
        profile: what user filters read; nothing for a guest or a device.
        visit: what environment filters read.
        supported: keys of tests that the client supports; None: all.
        environment_name: of which environment QA overrides count; empty: the server's own.
    """

    unit_type: str
    unit_id: str
    device_id: str
    group: int
    profile: Mapping[str, object]
    visit: Mapping[str, object]
    supported: frozenset[str] | None
    environment_name: str


def group_of(context: Mapping[str, Any], split_groups: SplitGroups) -> int:
    """Return the split group of a context, 0 where it is not known.

    Raises:
        OfrepError: what it says is no split group.
    """
    for name in _NAMES_OF_GROUP:
        group = context.get(name)
        if group is not None:
            if type(group) is not int or not 0 < group <= SPLIT_GROUPS:
                raise OfrepError(
                    400, "INVALID_CONTEXT", f"context.{name} must be a whole number from 1 to {SPLIT_GROUPS}"
                )
            return group
    if split_groups == "hashed":
        return zlib.crc32(str(context["targetingKey"]).encode(errors="replace")) % SPLIT_GROUPS + 1
    return 0


def read_asked(context: Mapping[str, Any], split_groups: SplitGroups) -> Asked:
    """Return who is asked about by a context.

    Raises:
        OfrepError: one of its fields cannot be read.
    """
    unit_type = context.get("unit_type", "user")
    if unit_type not in UNIT_TYPES:
        raise OfrepError(400, "INVALID_CONTEXT", "context.unit_type must be user, device or guest")
    supported = context.get("supported_tests")
    if supported is not None and not (isinstance(supported, list) and all(isinstance(each, str) for each in supported)):
        raise OfrepError(400, "INVALID_CONTEXT", "context.supported_tests must be a list of keys")
    for name in ("device_id", "environment_name"):
        if not isinstance(context.get(name, ""), str):
            raise OfrepError(400, "INVALID_CONTEXT", f"context.{name} must be a text")
    return Asked(
        unit_type=unit_type,
        unit_id=context["targetingKey"],
        device_id=context.get("device_id", ""),
        group=group_of(context, split_groups),
        profile=context if unit_type == "user" else NOBODY,
        visit=context,
        supported=None if supported is None else frozenset(supported),
        environment_name=context.get("environment_name", ""),
    )
