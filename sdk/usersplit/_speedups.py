"""The check in C of the distribution `usersplit-speedups`, for services that have it installed beside the SDK.

It answers for what is plain, as the Python check does, and hands everything else to that Python check. So with it or
without it, answers are the same. Why it is a distribution of its own: docs/adr/0012.
"""

import importlib
import logging
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from usersplit._units import Environment, Guest, User
from usersplit.conditions._tree import Bracket, Leaf, Node

INTERFACE: Final = 1
SWITCH: Final = "USERSPLIT_SPEEDUPS"
"""The environment variable that switches it off, by "off"."""

_MODULE: Final = "usersplit_speedups"
_MET: Final = -1
_UNMET: Final = -2

_Check: TypeAlias = Callable[[object, object], str | None]
_Step: TypeAlias = tuple[bool, str, str, str, object, int, int]

_logger = logging.getLogger("usersplit.checks")


def speedups_version() -> str:
    """Return the version of usersplit-speedups that checks are compiled with now; "" if Python answers them."""
    module = _in_use()
    return "" if module is None else _version(module)


def hastened(
    check: _Check,
    *,
    conditions: Sequence[Bracket],
    variants: Sequence[str],
    variant_by_group: Sequence[int],
    groups_first: bool,
    dates_ns: tuple[int, int] | None,
    now_ns: Callable[[], int],
) -> _Check:
    """Return a check that answers as `check` does, in less time if it can be had.

    Args:
        check: the Python check.
        conditions: all of them have to be met.
        variants: names; the first one is empty.
        variant_by_group: for each split group, the index in `variants`.
        groups_first: the split group is looked at before the conditions.
        dates_ns: the first moment, and the first moment no more; None is always.
        now_ns: the clock.
    """
    module = _in_use()
    if module is None:
        return check
    steps: list[_Step] = []
    _lay(Bracket(joint="AND", nodes=tuple(each for each in conditions if each.nodes)), _MET, _UNMET, steps)
    starts_at, ends_at = dates_ns or (None, None)
    try:
        compiled: _Check = module.DrawnCheck(
            otherwise=check,
            user=User,
            guest=Guest,
            environment=Environment,
            nobody=Guest.attributes,
            steps=tuple(steps),
            variants=variants,
            variant_by_group=variant_by_group,
            groups_first=groups_first,
            starts_at=starts_at,
            ends_at=ends_at,
            now=now_ns,
        ).answer
    except (TypeError, ValueError):
        return check  # versions, times, more than 255 variants … are not plain enough for it
    return compiled


def _lay(node: Node, met: int, unmet: int, steps: list[_Step]) -> int:
    """Append the steps of `node`, the last one first, and return the number of the one that has to be asked first."""
    if isinstance(node, Leaf):
        asked = node.filter
        constant = node.members if node.takes_list else node.value
        steps.append((asked.scope == "environment", asked.type, node.operator, asked.name, constant, met, unmet))
        return len(steps) - 1
    following = met if node.joint == "AND" else unmet
    for child in reversed(node.nodes):
        following = _lay(child, following, unmet, steps) if node.joint == "AND" else _lay(child, met, following, steps)
    return following


def _in_use() -> Any:
    return None if os.environ.get(SWITCH) == "off" else _installed()


@cache
def _installed() -> Any:
    """Return the module, or None if there is none that can be used; which is said once."""
    try:
        module = importlib.import_module(_MODULE)
    except ImportError as error:
        if error.name != _MODULE:  # it is there, but made for another platform
            _logger.warning("usersplit-speedups cannot be loaded, so Python answers checks: %s.", error)
        return None
    if getattr(module, "INTERFACE", None) != INTERFACE:
        _logger.warning("usersplit-speedups %s is not for this usersplit: Python answers checks.", _version(module))
        return None
    _logger.info("usersplit-speedups %s answers checks.", _version(module))
    return module


def _version(module: Any) -> str:
    return str(getattr(module, "__version__", "of no version"))
