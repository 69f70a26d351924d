"""Who acts, and what they may see: a Draft is invisible to everybody but its author, its managers and superusers."""

from collections.abc import Collection
from dataclasses import dataclass

_HIDDEN_STATUSES = ("draft", "discarded")
"""A discarded Draft was never shown to others either, and what is left of it is not theirs to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """A person, or a part of the system, who gives commands.

    Attributes:
        name: as changelogs carry it.
        is_superuser: sees and steers every test and every user group, and may do all that follows.
        may_override: forces units into variants, and switches tests off for them: what QA does.
    """

    name: str
    is_superuser: bool = False
    may_override: bool = False


def can_see(actor: Actor, status: str, author: str, managers: Collection[str]) -> bool:
    """Return whether `actor` may know that the test exists.

    It takes a status, an author and managers as any read model's row has them, so that lists and pages hide what
    commands hide.
    """
    return status not in _HIDDEN_STATUSES or actor.name == author or can_manage(actor, managers)


def can_manage(actor: Actor, managers: Collection[str]) -> bool:
    """Return whether `actor` may edit and steer a test with these managers."""
    return actor.is_superuser or actor.name in managers
