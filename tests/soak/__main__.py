"""Kills services, sinks and the broker at random, while hits flow, and holds BI against what was accepted.

    make soak MINUTES=1        (or: python -m tests.soak 1 [--seed 7] [--rate 1500])

Real parts: Apache Kafka and PostgreSQL, two sinks (`python -m entrypoints bi-sink`), two services with the SDK: one
writes ahead, one has a spool for outages. Each time one of them is drawn and killed (SIGKILL) and started again, at
once or a little later. If hardly anybody was killed in the time, because the machine is busy, it goes on until three
were. At the end nobody is killed any more: the services end in good order, what they left in their spools is delivered,
the sinks drain the topic, and the books are closed (`tests.soak.books` says what must hold).

The last line of stdout is one JSON object: `accepted`, `dropped`, `in_bi`, `twice`, `kills`, and of the dropped those
that were in the memory of killed services. Exit code 1 if anything does not balance.
"""

import argparse
import dataclasses
import json
import random
import sys
import time
from collections import Counter
from typing import Final

from tests.soak.books import Balance, balance
from tests.soak.world import World

_CALM_SECONDS: Final = 3.0
_LEAST_KILLS: Final = 3
"""Fewer show nothing: the soak goes on until there were so many, but not for longer than `_MORE_SECONDS`."""
_MORE_SECONDS: Final = 240.0


def soak(minutes: float, *, seed: int, rate: int) -> tuple[Balance, Counter[str]]:
    """Run the soak and return what it comes to, and who was killed how often."""
    chance = random.Random(seed)  # noqa: S311 - who is killed when, no secret
    kills: Counter[str] = Counter()
    with World(rate=rate) as world:
        world.start()
        ends = time.monotonic() + 60 * minutes
        time.sleep(_CALM_SECONDS)
        while (left := ends - time.monotonic()) > 0 or (kills.total() < _LEAST_KILLS and left > -_MORE_SECONDS):
            pause = chance.uniform(1.0, 6.0)
            time.sleep(min(left, pause) if left > 0 else pause)
            victim = chance.choice(world.victims)
            kills[victim.kind] += 1
            victim.kill()
            time.sleep(chance.choice((0.0, 0.0, 0.5, 2.0)))
            victim.start()
            world.supervise()
            print(f"{max(0.0, ends - time.monotonic()):5.0f} s left; killed: {dict(kills)}", flush=True)
        world.end_services()
        world.drain()
        in_bi, twice = world.in_bi()
        return balance(world.ended, in_bi=in_bi, last_in_bi=world.last_in_bi(), twice=twice), kills


def main() -> int:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("minutes", type=float, nargs="?", default=10.0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--rate", type=int, default=1500, help="hits a second of each service")
    options = parser.parse_args()
    print(f"soak of {options.minutes:g} minutes, seed {options.seed}", flush=True)
    found, kills = soak(options.minutes, seed=options.seed, rate=options.rate)
    for fault in found.faults:
        print(fault)
    figures = {**dataclasses.asdict(found), "kills": kills.total(), "killed": dict(kills), "seed": options.seed}
    print(json.dumps(figures))
    balanced = not found.faults and found.in_bi == found.accepted - found.dropped
    return 0 if balanced and found.accepted and kills.total() >= _LEAST_KILLS else 1


if __name__ == "__main__":
    sys.exit(main())
