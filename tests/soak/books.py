"""The books of a soak: which hits were accepted, which were given up, and which are in BI.

Every hit has a unit of its own, `SERVICE.NUMBER`. What a service accepted is known to the hit, also of one that was
killed: its journal outlives it. What is promised of the accepted ones:

- a service that ended in good order: accepted - dropped as it reported at its end, all of it on the broker or in the
  spool, and the spool is delivered by whoever comes next;
- a service that was killed while it wrote ahead: its hits up to some number, and none after it. What is missing was in
  memory, for less than a tenth of a second;
- any service that was killed: at least what had left its memory, to the broker or to the spool, when it last said so;
  the rest, less than its bounded buffer holds, may be lost with it, and counts as dropped. How much that was is known
  from outside only: what it accepted and BI does not have.

So for each killed service BI holds at least accepted - dropped - waiting of its last word, and at most what it took;
and of those that wrote ahead, the first ones without a gap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.support.hit_service import Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A service that is gone: its name, its last word, whether it was killed, and whether it wrote ahead."""

    name: str
    told: Told
    killed: bool
    write_ahead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What a soak comes to.

    Attributes:
        accepted: calls of `log` that took a hit, over all services.
        dropped: hits that services reported dropped, and those that were in the memory of the killed ones.
        lost_with_killed: the latter alone.
        in_memory_of_killed: how many those could have been at most.
        in_bi: different hits in BI.
        twice: rows of BI beyond the first of each hit.
        faults: sentences about whatever does not balance; none if all is well.
    """

    accepted: int
    dropped: int
    lost_with_killed: int
    in_memory_of_killed: int
    in_bi: int
    twice: int
    faults: tuple[str, ...]


def balance(
    services: Iterable[Ended], *, in_bi: Mapping[str, int], last_in_bi: Mapping[str, int], twice: int
) -> Balance:
    """Hold what the services told against what BI has.

    Args:
        services: all that ever ran.
        in_bi: how many different hits BI has of each, by its name.
        last_in_bi: the highest number among those.
        twice: rows of BI beyond the first of each hit.
    """
    accepted = dropped = lost = in_memory = 0
    faults: list[str] = []
    strangers = dict(in_bi)
    for service in services:
        told, found = service.told, strangers.pop(service.name, 0)
        if service.killed:
            # Its last word may be older than its last hits: those were in memory, or on their way, when it died.
            at_least = max(0, told.accepted - told.dropped - told.waiting)
            at_most = told.taken + 1  # the call that the signal interrupted may have taken one more
            taken = max(told.taken, found)
            if not at_least <= found <= at_most:
                faults.append(f"{service.name} was killed: {found} hits in BI, not {at_least} to {at_most}")
            last = last_in_bi.get(service.name, 0)
            if service.write_ahead and not told.dropped and found != last:
                faults.append(f"{service.name} wrote ahead, and of its hits up to {last} BI has {found}")
            lost += taken - found
            in_memory += taken - at_least
            accepted += taken
            dropped += taken - found
        else:
            if not told.closed or told.waiting or told.accepted < told.taken:
                faults.append(f"{service.name} did not end in good order: {told}")
            if found != told.accepted - told.dropped:
                faults.append(f"{service.name}: {found} hits in BI, not {told.accepted} - {told.dropped}")
            accepted += told.accepted
            dropped += told.dropped
    if strangers:
        faults.append(f"BI has hits of nobody: {strangers}")
    if twice:
        faults.append(f"{twice} rows of BI are of hits that it has already")
    return Balance(
        accepted=accepted,
        dropped=dropped,
        lost_with_killed=lost,
        in_memory_of_killed=in_memory,
        in_bi=sum(in_bi.values()),
        twice=twice,
        faults=tuple(faults),
    )
