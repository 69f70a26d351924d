"""A user group's config: conditions without variants, which switch a feature for a circle of users.

The format of the document is described in docs/config-documents.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from usersplit._config_fields import conditions_in, shown, whole_number
from usersplit._errors import MalformedConfig
from usersplit.conditions import Catalog, Conditions, parse

USER_GROUP_KIND: Final = "user_group"

UserGroupStatus: TypeAlias = Literal["active", "off", "draft", "discarded"]

_STATUSES: Final[tuple[UserGroupStatus, ...]] = get_args(UserGroupStatus)
_FORGOTTEN: Final = ("draft", "discarded")
_EVERYBODY: Final = parse([], Catalog([]))


@dataclass(frozen=True, slots=True, kw_only=True)
class UserGroupConfig:
    """One user group, ready to be asked.

    Attributes:
        key: the user group's key. A split test may have the same one.
        position: of the fact that last changed the document.
        status: only of an `active` one anybody is a member.
        settings_group: the version of its conditions.
        conditions: who is a member.
    """

    key: str
    position: int
    status: UserGroupStatus
    settings_group: int = 0
    conditions: Conditions = _EVERYBODY


def user_group_from_document(document: Mapping[str, Any], *, key: str) -> UserGroupConfig:
    """Return the user group in a decoded document, whose format, kind and key were looked at already.

    Raises:
        MalformedConfig: it is not what docs/config-documents.md describes.
    """
    position = whole_number(document, "position", key)
    status = document.get("status")
    if status not in _STATUSES:
        raise MalformedConfig(f"The user group {key} has the status {shown(status)}, which is none.")
    if status in _FORGOTTEN:
        return UserGroupConfig(key=key, position=position, status=status)
    conditions = conditions_in(document, key)
    conditions.compile_now()  # here, in the background, and not for the first visitor
    return UserGroupConfig(
        key=key,
        position=position,
        status=status,
        settings_group=whole_number(document, "settings_group", key),
        conditions=conditions,
    )
