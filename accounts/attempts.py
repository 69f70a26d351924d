"""How often a password may be guessed: after a few wrong ones in a row, each further one has to wait longer.

Counted by name and by the address that asks, each for itself: many names from one address, and one name from many
addresses, are both guessing. An IPv6 address counts with its /64, which is what one customer gets. Kept in memory and
bounded: a restart forgives, and several processes count for themselves, which multiplies what a guesser may try by
their number and no more.
"""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Network, ip_address
from threading import Lock
from typing import Final

from accounts.errors import TooManyAttempts

FREE_ATTEMPTS: Final = 5
_LONGEST_WAIT_SECONDS: Final = 900.0
_FORGIVEN_AFTER_SECONDS: Final = 3600.0
_MOST_REMEMBERED: Final = 10_000


class Attempts:
    """Counts wrong passwords. Safe to share between threads."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def begin(self, *who: str) -> None:
        """Count an attempt of each of `who`, as a wrong one until `note_right` says else: many at once are many.

        Raises:
            TooManyAttempts: for one of `who` it is too early; nothing was counted.
        """
        moment = self._monotonic()
        with self._lock:
            wait = max((self._wait(each, moment) for each in who), default=0.0)
            if wait > 0:
                raise TooManyAttempts(int(wait) + 1)
            for each in who:
                count, last = self._wrong.pop(each, (0, moment))
                count = 0 if moment - last > _FORGIVEN_AFTER_SECONDS else count
                self._wrong[each] = (count + 1, moment)
            while len(self._wrong) > _MOST_REMEMBERED:
                self._wrong.popitem(last=False)

    def note_right(self, name: str, address: str) -> None:
        """Forget what was counted against `name`: its owner came. Of an address, this one attempt is forgiven."""
        with self._lock:
            self._wrong.pop(name, None)
            count, last = self._wrong.pop(address, (0, 0.0))
            if count > 1:
                self._wrong[address] = (count - 1, last)

    def _wait(self, who: str, moment: float) -> float:
        count, last = self._wrong.get(who, (0, moment))
        if count < FREE_ATTEMPTS:
            return 0.0
        penalty = min(_LONGEST_WAIT_SECONDS, 2.0 ** (count - FREE_ATTEMPTS + 1))
        return max(0.0, last + penalty - moment)


def network_of(address: str) -> str:
    """Return what attempts from an address are counted under."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Network((int(parsed), 64), strict=False))
