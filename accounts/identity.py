"""Who asks, and what that person may do: a role, narrowed where an API token speaks for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from accounts.errors import NotAllowed
from domain.people import Actor

Role: TypeAlias = Literal["superuser", "manager", "developer", "qa", "viewer"]

Permission: TypeAlias = Literal["read", "evaluate", "override", "create", "steer", "operate", "administer"]
"""What an action needs.

read: see tests, changelogs and who gets what; config documents, for services.
evaluate: what browsers and apps ask: evaluations. Their tokens are no secrets.
override: force units into variants, and switch tests off for them.
create: make a Draft.
steer: edit and steer; of a split test only by its managers, which the domain checks.
operate: projections.
administer: accounts, and the tokens of others.
"""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
PERMISSIONS: Final[tuple[Permission, ...]] = get_args(Permission)

_VIEWER: Final = frozenset[Permission]({"read", "evaluate"})
_QA: Final = frozenset[Permission]({*_VIEWER, "override"})
_DEVELOPER: Final = frozenset[Permission]({*_QA, "create"})
_MANAGER: Final = frozenset[Permission]({*_DEVELOPER, "steer"})

PERMISSIONS_OF: Final[Mapping[Role, frozenset[Permission]]] = MappingProxyType(
    {
        "viewer": _VIEWER,
        "qa": _QA,
        "developer": _DEVELOPER,
        "manager": _MANAGER,
        "superuser": frozenset(PERMISSIONS),
    }
)
"""What each role may. Who manages which test is another question, and the domain's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A person, as known for one request.

    Attributes:
        name: of the account; changelogs carry it.
        role: of the account.
        token_id: of the API token that speaks for the person, empty where the person speaks.
        scopes: what that token may at most; everything where the person speaks.
    """

    name: str
    role: Role
    token_id: str = ""
    scopes: frozenset[Permission] = frozenset(PERMISSIONS)

    @property
    def actor(self) -> Actor:
        """The same person as commands know people; what a token may not do is asked for before (`require`)."""
        return Actor(name=self.name, is_superuser=self.role == "superuser", may_override=self.may("override"))

    @property
    def permissions(self) -> frozenset[Permission]:
        """Everything that is allowed."""
        return PERMISSIONS_OF[self.role] & self.scopes

    def may(self, permission: Permission) -> bool:
        """Return whether `permission` is given."""
        return permission in self.permissions

    def require(self, permission: Permission) -> None:
        """Return if `permission` is given.

        Raises:
            NotAllowed: it is not.
        """
        if permission not in PERMISSIONS_OF[self.role]:
            raise NotAllowed(self.name, permission, f"the role {self.role} does not include it")
        if permission not in self.scopes:
            raise NotAllowed(self.name, permission, "the API token lacks that scope")
