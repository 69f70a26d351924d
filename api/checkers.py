"""The SDK's checkers over the live configs: answers as a service gives them, overrides of QA included."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Request

from api.live_configs import LiveConfigs
from api.visits import nanoseconds
from usersplit import Checker, MemoryConfigs
from usersplit._overrides import OVERRIDES_KEY

_WITHOUT_OVERRIDES: Final = ""


class Checkers:
    """Checkers by environment. Each is made once, for to make one is to look at every test.

    Args:
        live: the config documents.
    """

    def __init__(self, live: LiveConfigs) -> None:
        self._configs = live.configs
        self._made: dict[str, Checker] = {}

    def of(self, environment_name: str) -> Checker:
        """Return the checker of services in this environment, by the clock of this machine."""
        # A stranger's word is not kept: environments without overrides answer alike.
        known = environment_name in self._configs.published.current.overrides
        name = environment_name if known else _WITHOUT_OVERRIDES
        made = self._made.get(name)
        if made is None:
            made = self._made.setdefault(name, Checker(self._configs, environment_name=name))
        return made

    def at(self, moment: datetime, environment_name: str, keys: Iterable[str]) -> Checker:
        """Return a checker of these tests whose clock shows `moment`; the settings are those in force now."""
        places = self._configs.published.current.by_place
        narrowed = MemoryConfigs()
        narrowed.published.publish({key: places[key] for key in (*keys, OVERRIDES_KEY) if key in places})
        moment_ns = nanoseconds(moment)
        return Checker(narrowed, environment_name=environment_name, now_ns=lambda: moment_ns)


async def _checkers(request: Request) -> Checkers:
    checkers: Checkers = request.app.state.checkers
    return checkers


CheckersHere: TypeAlias = Annotated[Checkers, Depends(_checkers)]
"""The checkers, as an argument of an endpoint."""
