"""Work on several things that wait, of which one that fails must not hold up the others."""

from collections.abc import Callable, Iterable
from logging import getLogger
from threading import Event

from consumers.outages import DATABASE_AWAY
from consumers.preparation_inputs import described

_log = getLogger(__name__)


def one_by_one(keys: Iterable[str], work: Callable[[str], bool], *, stop: Event, what_fails: str) -> int:
    """Do `work` for each of `keys` until `stop` is set; return for how many it was done.

    Args:
        keys: what waits.
        work: does it for one, and says whether there was anything to do.
        stop: ends it before the next one.
        what_fails: for the log, such as "cannot be prepared".

    Raises:
        Exception: see `work`. An outage ends it at once; for anything else the others do not wait: they are done first,
            and then the first error is raised.
    """
    done = 0
    errors: list[Exception] = []
    for key in keys:
        if stop.is_set():
            break
        try:
            done += work(key)
        except DATABASE_AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - the others do not wait for it; it is raised below
            _log.error("%s %s, and its failure not be recorded: %s", key, what_fails, described(error))
            errors.append(error)
    if errors:
        raise errors[0]
    return done
