"""What a command can be refused with, and how a page says it."""

import logging
from typing import Final

from accounts.errors import AccountsError, NotSignedIn
from domain.errors import NotAManager, RuleBroken
from events.errors import EventsError, VersionConflict
from projections.errors import ProjectionsError
from usersplit.conditions import ConditionsError

REFUSALS: Final = (RuleBroken, ConditionsError, EventsError, ProjectionsError, AccountsError)
"""Everything that a command or a query says no with, each with a sentence for people. Anything else is a bug."""

_AUDIT: Final = logging.getLogger("usersplit.audit")


def refused(error: Exception, *, by: str) -> str:
    """Return the sentence for who was refused; where somebody lacked the right, the audit log has a line of it."""
    if isinstance(error, AccountsError | NotAManager):
        _AUDIT.warning("refused: a page's command by %r: %s %r", by, type(error).__name__, str(error))
    if isinstance(error, VersionConflict):
        return "Somebody changed it in the meantime, and nothing was done. Load the page anew, look, and decide again."
    if isinstance(error, NotSignedIn):
        return "Your session has ended, and nothing was done. Sign in again."  # what it advises is for programs, too
    return sentence(error)


def sentence(error: Exception) -> str:
    """Return what an error says, as a sentence of its own."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
