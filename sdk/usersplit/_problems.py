"""What checks met that somebody has to mend: counted, and logged once per key and reason."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from usersplit._decision import PROBLEMS, SENTENCES, Reason
from usersplit._hit_accounting import Tally

_logger = logging.getLogger("usersplit.checks")

# Keys come from callers, so what is remembered of them is bounded.
_REMEMBERED_KEYS: Final = 1000


class Problems:
    """Counts by reason, and by the keys that are dead."""

    __slots__ = ("_dead", "_tallies", "_warned")

    def __init__(self) -> None:
        self._tallies: dict[Reason, Tally] = {reason: Tally() for reason in PROBLEMS}
        self._warned: set[tuple[str, Reason]] = set()
        self._dead: dict[str, Tally] = {}

    def note(self, key: object, reason: Reason, error: Exception | None = None) -> None:
        """Take note, if the reason is a problem or the key is dead. Raises nothing."""
        if reason in ("unknown_test", "discarded") and type(key) is str:
            self._note_dead(key)
        tally = self._tallies.get(reason)
        if tally is None:
            return
        tally.tick()
        with suppress(Exception):  # a filter of the service's logging is the service's code
            warning = (safe_key(key), reason)
            if warning in self._warned or len(self._warned) >= _REMEMBERED_KEYS:
                return
            self._warned.add(warning)
            detail = safe_text(error) if error is not None else SENTENCES.get(reason, "The test has no such variant.")
            _logger.warning("No variant of the test %s (%s): %s", warning[0], reason, detail)

    def counts(self) -> Mapping[Reason, int]:
        """Return how often each happened."""
        return {reason: tally.value() for reason, tally in self._tallies.items()}

    def dead_keys(self) -> Mapping[str, int]:
        """Return how often each key was asked for that is no test any more, or never was."""
        return {key: tally.value() for key, tally in list(self._dead.items())}

    def _note_dead(self, key: str) -> None:
        tally = self._dead.get(key)
        if tally is None:
            if len(self._dead) >= _REMEMBERED_KEYS:
                return
            tally = self._dead.setdefault(key[:200], Tally())
        tally.tick()


def safe_key(key: object) -> str:
    """Return the key as text; of anything but a string only the type, for its own text may be code that fails."""
    return key[:200] if type(key) is str else f"<{type(key).__name__}>"


def safe_text(error: Exception) -> str:
    """Return the error as text, short, whatever its own text does."""
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except Exception:  # noqa: BLE001 - the error's own text fails
        return type(error).__name__
