"""The audit line for a change of accounts or tokens, which no changelog tells; the API and the pages write it.

Texts that came from outside are quoted, so that no name can pretend to be a line of its own.
"""

import logging
from typing import Final

_log: Final = logging.getLogger("usersplit.audit")

_LONGEST: Final = 300


def note_change(what: str, *, who: str, address: str) -> None:
    """Log that `who`, at `address`, changed something."""
    _log.info("changed: %s by %s from %s", quoted(what), who, address)


def quoted(text: str) -> str:
    """Return a text as it stands in a line of the audit log."""
    return repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")
