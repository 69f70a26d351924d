"""What a hit costs: the caller that logs it, and the process that encodes and produces it; on a real Kafka.

    PYTHONPATH=. .venv/bin/python benchmarks/hit_logging.py

**The caller.** Every call of `HitLogger.log` is timed by itself with `perf_counter_ns`, in a loop that does a little
work between the calls and now and then waits, as a service does, while the background thread encodes, produces and is
told of acknowledgements in the same process. The timer's own cost is measured beside each call, as the time between two
readings with nothing between them, and its median is subtracted. "down" is the same after the broker was killed, with
a buffer that fills up on the way.

**The process.** The same hits, once as bytes made beforehand that go into a bare `Producer.produce()`, once as logged
hits that go through the SDK's encoder and transport; each until the broker has acknowledged all of them. Both sides
have the same settings of librdkafka and take turns; the ratio is the median of the ratios of neighbours.
"""

import argparse
import gc
import json
import os
import statistics
import time
import uuid
from collections.abc import Callable

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.kafka_server import KafkaServer
from usersplit import HitLogger, KafkaHitTransport
from usersplit._hit_encoding import HitEncoder
from usersplit._hit_record import HITS_PER_BATCH, RANDOM_BYTES_PER_BATCH, BufferedHit, HitOrigin
from usersplit._kafka_transport import _SETTINGS

PARTITIONS = 4


def made_topic(kafka: KafkaServer) -> str:
    """Return a new topic for hits."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topic = f"hits-{uuid.uuid4()}"
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    return topic


def opened(kafka: KafkaServer, topic: str) -> HitLogger:
    """Return a logger as services have it."""
    transport = KafkaHitTransport(kafka.bootstrap_servers, topic=topic)
    return HitLogger(transport, app="coconut-store", environment_name="production", host="web1")


def costs_of_logging(logger: HitLogger, calls: int) -> dict[str, float]:
    """Return median and 99th percentile of the cost of one call, in microseconds, without the timer's own."""
    clock = time.perf_counter_ns
    log = logger.log
    calls_ns: list[int] = []
    timer_ns: list[int] = []
    for number in range(calls):
        start = clock()
        log(
            test_key="green_button",
            variant="red",
            unit_type="user",
            unit_id=number,
            settings_group=3,
            split_group=number % 2400 + 1,
            platform="web",
            country="RU",
        )
        end = clock()
        nothing = clock()
        calls_ns.append(end - start)
        timer_ns.append(nothing - end)
        sum(range(20))  # the page's own work
        if not number % 100:
            time.sleep(0.001)  # and its waiting, for a database or a client
    timer = statistics.median(timer_ns)
    calls_ns.sort()
    return {
        "median": (calls_ns[len(calls_ns) // 2] - timer) / 1000,
        "p99": (calls_ns[len(calls_ns) * 99 // 100] - timer) / 1000,
        "timer": timer / 1000,
    }


def median_costs(logger: HitLogger, calls: int, rounds: int) -> dict[str, float]:
    """Return the medians over several rounds."""
    found = [costs_of_logging(logger, calls) for _ in range(rounds)]
    return {name: round(statistics.median(each[name] for each in found), 3) for name in found[0]}


def hits_to_send(count: int) -> list[BufferedHit]:
    """Return hits as the caller leaves them: ten tests, a hundred thousand users."""
    start = time.time_ns()
    return [
        (
            start + 10_000 * number,
            f"test_{number % 10}",
            3,
            "red" if number % 2 else "control",
            "user",
            1_000_000 + number * 7919 % 100_000,
            number * 7919 % 2400 + 1,
            "web" if number % 3 else "ios",
            "RU",
            False,
            "",
            "",
            0,
        )
        for number in range(count)
    ]


def encoder() -> HitEncoder:
    """Return an encoder as `opened` has it."""
    return HitEncoder(HitOrigin(app="coconut-store", host="web1", environment_name="production"))


def seconds_of_bare_produce(producer: Producer, topic: str, records: list[tuple[bytes, bytes]]) -> float:
    """Produce bytes that are there already, and wait for the acknowledgements."""
    began = time.perf_counter()
    produce, poll = producer.produce, producer.poll
    for start in range(0, len(records), HITS_PER_BATCH):
        for key, value in records[start : start + HITS_PER_BATCH]:
            produce(topic, value, key)
        poll(0)
    assert producer.flush(60) == 0
    return time.perf_counter() - began


def seconds_of_encode_and_produce(transport: KafkaHitTransport, made: HitEncoder, hits: list[BufferedHit]) -> float:
    """Encode and produce hits as the background thread does, and wait for the acknowledgements."""
    began = time.perf_counter()
    for start in range(0, len(hits), HITS_PER_BATCH):
        records = made.encode(hits[start : start + HITS_PER_BATCH], os.urandom(RANDOM_BYTES_PER_BATCH)).records
        while records:
            del records[: transport.send(records)]
            transport.poll(0)
    while transport.outstanding():
        transport.poll(0.1)
    return time.perf_counter() - began


def ratio_of_producing(kafka: KafkaServer, topic: str, count: int, rounds: int) -> dict[str, float]:
    """Return how fast encode + produce is, as a part of the speed of a bare produce, and both in hits a second."""
    # Room for a whole round, on both sides: nothing waits for room, which is no work.
    room = {"queue.buffering.max.messages": 2 * count, "queue.buffering.max.kbytes": 2**20}
    bare = Producer({"bootstrap.servers": kafka.bootstrap_servers, **_SETTINGS, **room})
    transport = KafkaHitTransport(kafka.bootstrap_servers, topic=topic, **room)
    refused: list[object] = []
    transport.bind(refused.append)
    made = encoder()
    hits = hits_to_send(count)
    records = [
        record
        for start in range(0, count, HITS_PER_BATCH)
        for record in made.encode(hits[start : start + HITS_PER_BATCH], os.urandom(RANDOM_BYTES_PER_BATCH)).records
    ]
    sides: list[Callable[[], float]] = [
        lambda: seconds_of_bare_produce(bare, topic, records),
        lambda: seconds_of_encode_and_produce(transport, made, hits),
    ]
    taken = [[side() for side in sides] for _ in range(rounds + 1)][1:]  # the first one connects
    assert not refused
    transport.close(10)
    return {
        "ratio": round(statistics.median(bare_seconds / ours for bare_seconds, ours in taken), 3),
        "bare": round(statistics.median(count / bare_seconds for bare_seconds, _ in taken)),
        "ours": round(statistics.median(count / ours for _, ours in taken)),
    }


def seconds_of_encoding(hits: list[BufferedHit]) -> float:
    """Only encode."""
    made = encoder()
    began = time.perf_counter()
    for start in range(0, len(hits), HITS_PER_BATCH):
        made.encode(hits[start : start + HITS_PER_BATCH], b"8 bytes.")
    return time.perf_counter() - began


def main() -> None:
    """Run the benchmark."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--calls", type=int, default=25_000, help="calls of log() a round")
    options.add_argument("--hits", type=int, default=100_000, help="hits a round of producing")
    options.add_argument("--rounds", type=int, default=7)
    given = options.parse_args()
    gc.collect()
    with KafkaServer() as kafka:
        topic = made_topic(kafka)
        producing = ratio_of_producing(kafka, topic, given.hits, given.rounds)
        print(f"to the last acknowledgement: bare {producing['bare']:,.0f}/s, with encoding {producing['ours']:,.0f}/s")
        with opened(kafka, topic) as logger:
            up = median_costs(logger, given.calls, given.rounds)
            assert logger.flush(60)
            stats = logger.stats()
            assert stats.accepted == stats.delivered == given.calls * given.rounds
        print(f"broker up: {up}")
        logger = opened(kafka, topic)
        costs_of_logging(logger, 1000)
        assert logger.flush(60)
        kafka.kill()
        down = median_costs(logger, given.calls, given.rounds)
        stats = logger.stats()
        assert stats.accepted == stats.delivered + stats.buffered + sum(stats.dropped.values())
        assert stats.delivered == 1000
        logger.close(0)
        print(f"broker down: {down}; {stats}")
    encoding = statistics.median(seconds_of_encoding(hits_to_send(given.hits)) for _ in range(given.rounds))
    print(
        json.dumps(
            {
                "up_median_us": up["median"],
                "up_p99_us": up["p99"],
                "down_median_us": down["median"],
                "down_p99_us": down["p99"],
                "produce_ratio": producing["ratio"],
                "hits_per_second": producing["ours"],
                "bare_per_second": producing["bare"],
                "encode_us": round(encoding / given.hits * 1e6, 3),
                "timer_us": up["timer"],
            }
        )
    )


if __name__ == "__main__":
    main()
