"""A sparkline: a few numbers as the points of a small SVG."""

from collections.abc import Sequence
from typing import Final

WIDTH: Final = 96
HEIGHT: Final = 24
_MARGIN: Final = 2


def spark_points(values: Sequence[float]) -> str:
    """Return the points of a polyline over `WIDTH` by `HEIGHT`, from 0 at the foot to the highest value at the top."""
    if not values:
        return ""
    highest = max(*values, 1)
    step = (WIDTH - 2 * _MARGIN) / max(len(values) - 1, 1)
    room = HEIGHT - 2 * _MARGIN
    return " ".join(
        f"{_MARGIN + place * step:.1f},{_MARGIN + room * (1 - value / highest):.1f}"
        for place, value in enumerate(values)
    )
