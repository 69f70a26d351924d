"""Which exposures this process has logged already: bounded, and without a lock on the caller's path."""

from typing import Final, TypeAlias

Exposure: TypeAlias = tuple[object, object, object, object, object]
"""Unit type, unit id, test key, variant, settings group."""

_GENERATIONS: Final = 2


class Exposures:
    """Remembers exposures, at most `capacity` of them; the ones that were not seen for longest are forgotten first.

    Two generations: what is seen goes into the young one; when that is full, it becomes the old one, and the old one is
    forgotten. So at least the last `capacity / 2` exposures are remembered, and no more than `capacity`. A list in
    exact order of use would need a lock. Two threads that see the same exposure in the same moment may both find it
    new: it is logged twice then, and nothing worse.
    """

    def __init__(self, capacity: int) -> None:
        self._size = max(1, capacity // _GENERATIONS)
        self._young: dict[Exposure, None] = {}
        self._old: dict[Exposure, None] = {}

    def is_known(self, exposure: Exposure) -> bool:
        """Answer whether the exposure was remembered and is not forgotten yet. It counts as seen now."""
        if exposure in self._young:
            return True
        if exposure in self._old:
            self.remember(exposure)
            return True
        return False

    def remember(self, exposure: Exposure) -> None:
        """Remember an exposure."""
        if len(self._young) >= self._size:
            self._old, self._young = self._young, {}
        self._young[exposure] = None

    def forget_all(self) -> None:
        """Start from nothing."""
        self._young, self._old = {}, {}
