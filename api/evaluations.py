"""The evaluations of one process, put together: live configs, what answers from them, and who hears of changes."""

import time
from collections.abc import Callable

from accounts.desk import Desk
from api.live_configs import LiveConfigs
from api.measured import Observe
from api.ofrep.answers import Answers
from api.ofrep.entrance import Entrance
from api.ofrep.events import EventStream
from api.ofrep.requests import SplitGroups
from api.ofrep.server import EVENTS, OfrepServer
from api.parts import Parts
from api.proxies import Proxies


def live_configs(parts: Parts) -> LiveConfigs:
    """Return the live configs of a database, empty until they are refreshed."""
    return LiveConfigs(parts.reading)


def ofrep_server(  # noqa: PLR0913 - what one is put together of
    live: LiveConfigs,
    desk: Desk,
    proxies: Proxies,
    *,
    environment_name: str,
    split_groups: SplitGroups,
    observe: Observe,
    now_ns: Callable[[], int],
    monotonic: Callable[[], float] = time.monotonic,
) -> OfrepServer:
    """Return the ASGI app of OFREP over live configs, and let it hear of their changes."""
    answers = Answers(live, environment_name=environment_name, split_groups=split_groups, now_ns=now_ns)
    events = EventStream(answers.digest)
    live.tell(answers.renew)
    live.tell(events.changed)
    entrance = Entrance(
        desk.tokens,
        desk.revision,
        secrets=desk.sessions.keys.oldest_first,
        events_path=EVENTS,
        monotonic=monotonic,
    )
    return OfrepServer(answers, entrance, events, proxies, refresh=live.refresh, observe=observe)
