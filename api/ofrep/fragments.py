"""What a test may answer, as pieces of JSON that are rendered when its config is loaded, and joined per request."""

from typing import Any, Final, Literal, TypeAlias

import msgspec

from api.ofrep.requests import ErrorCode
from usersplit import Reason, SplitTestConfig
from usersplit._user_group_config import UserGroupConfig

OfrepReason: TypeAlias = Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "DEFAULT"]

_REASONS: Final[dict[str, OfrepReason]] = {
    "in_variant": "SPLIT",
    "forced": "TARGETING_MATCH",
    "disabled": "DISABLED",
    "paused": "DISABLED",
    "rejected": "DISABLED",
}
"""The protocol's word for ours; DEFAULT for the others. A result is STATIC for everybody, else TARGETING_MATCH."""

_ERRORS: Final[dict[str, tuple[ErrorCode, str]]] = {
    "no_split_group": (
        "INVALID_CONTEXT",
        "context.split_group is missing: the whole number from 1 to 2400 that was drawn for this user or guest",
    ),
    "failed": ("GENERAL", "the check failed"),
}

_FORGOTTEN: Final = frozenset({"draft", "discarded"})


def is_listed(config: SplitTestConfig | UserGroupConfig) -> bool:
    """Return whether clients are told of it; servers are to forget a Draft and what was discarded."""
    return config.status not in _FORGOTTEN


def error_of(reason: Reason) -> tuple[ErrorCode, str] | None:
    """Return the protocol's error for a reason that is one, None for an answer."""
    return _ERRORS.get(reason)


def fragment(config: SplitTestConfig, variant: str | None, reason: Reason) -> bytes:
    """Return the answer of a test as JSON. Without a variant there is no value: the caller's code has a default."""
    if (error := error_of(reason)) is not None:
        code, detail = error
        return msgspec.json.encode({"key": config.key, "errorCode": code, "errorDetails": detail})
    if reason == "result":
        word: OfrepReason = "STATIC" if config.result_scope == "worldwide" else "TARGETING_MATCH"
    else:
        word = _REASONS.get(reason, "DEFAULT")
    document: dict[str, Any] = {"key": config.key, "reason": word, "variant": variant or ""}
    if variant is not None:
        document["value"] = variant
    # Last, so that more can be added to it: see `with_split_group`.
    document["metadata"] = {"status": config.status, "settings_group": config.settings_group}
    return msgspec.json.encode(document)


def group_fragment(config: UserGroupConfig, *, is_member: bool) -> bytes:
    """Return the answer of a user group as JSON: a boolean, for being in it is the whole question."""
    word: OfrepReason = "DISABLED" if config.status == "off" else "TARGETING_MATCH" if is_member else "DEFAULT"
    return msgspec.json.encode(
        {
            "key": config.key,
            "reason": word,
            "variant": "on" if is_member else "off",
            "value": is_member,
            "metadata": {"status": config.status, "settings_group": config.settings_group},
        }
    )


def with_split_group(answer: bytes, group: int) -> bytes:
    """Return an answer whose metadata tells the split group as well."""
    return b'%s,"split_group":%d}}' % (answer[:-2], group)
