"""The hooks for servers, in real servers: their workers are forked and ended in ways of their own, and lose no hit."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams.kafka_broker import KafkaBroker
from streams.messages import Topic
from tests.support.hit_accounts import KEEPING_ACCOUNTS, accounts_in
from tests.support.kafka import RealKafka
from tests.support.ports import free_port
from usersplit.hits import decode_hit

pytestmark = pytest.mark.real_kafka

SDK = Path(__file__).parents[2] / "sdk"

# The background thread looks once, and then not before a minute is over: what is logged later, only the end delivers.
LOGGING = f"""{KEEPING_ACCOUNTS}
import os, sys
import usersplit.hooks
from usersplit import HitLogger, KafkaHitTransport
transport = KafkaHitTransport(os.environ["BOOTSTRAP"], topic=os.environ["TOPIC"])
hits = HitLogger(transport, app="a", environment_name="devel", interval_seconds=60)
def log(unit_id):
    assert hits.log(test_key="k", variant="v", unit_type="user", unit_id=unit_id)
"""

WSGI = (
    LOGGING
    + """
def application(environ, start_response):
    log(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
)

Start = Callable[..., subprocess.Popen[bytes]]


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"needs the package {module}")


@pytest.fixture
def bootstrap(kafka: RealKafka) -> str:
    return kafka.bootstrap_servers


@pytest.fixture
def topic(bootstrap: str) -> str:
    name = f"hits-{uuid.uuid4()}"
    KafkaBroker(bootstrap).ensure_topics([Topic(name=name, partitions=2)])
    return name


@pytest.fixture
def start(tmp_path: Path, topic: str, bootstrap: str) -> Start:
    def start_process(*arguments: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(part for part in (str(SDK), os.environ.get("PYTHONPATH", "")) if part)
        with (tmp_path / "output").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, *arguments],
                cwd=tmp_path,
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "BOOTSTRAP": bootstrap,
                    "TOPIC": topic,
                    "ACCOUNTS": str(tmp_path / "accounts"),
                },
                stdout=output,
                stderr=output,
            )

    return start_process


def until(reached: Callable[[], object], output: Path) -> None:
    deadline = time.monotonic() + 90
    while not reached():
        assert time.monotonic() < deadline, output.read_text(errors="replace")
        time.sleep(0.05)


def answer(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as response:
            body: bytes = response.read()
            return body
    except (urllib.error.URLError, ConnectionError):
        return b""


def ask_often(port: int, output: Path, workers: int) -> int:
    """Ask until every worker has answered some times; return how many requests were answered."""
    until(lambda: answer(port, "first"), output)
    answers: dict[bytes, int] = {}
    asked = 1

    def enough() -> bool:
        nonlocal asked
        body = answer(port, str(asked))
        asked += 1
        answers[body] = answers.get(body, 0) + 1
        return len(answers) >= workers and min(answers.values()) >= 3

    until(enough, output)
    assert b"" not in answers
    return asked


def units_in(bootstrap_servers: str, topic: str) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": str(uuid.uuid4())})
    units: list[str] = []
    try:
        for partition in consumer.list_topics(topic, timeout=60).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
            consumer.assign([TopicPartition(topic, partition, 0)])
            read = 0
            while read < end:
                for message in consumer.consume(end - read, timeout=1):
                    value = message.value()
                    assert value is not None
                    units.append(decode_hit(value).unit_id)
                    read += 1
    finally:
        consumer.close()
    return units


def assert_accounted(tmp_path: Path, units: list[str]) -> None:
    """Every process said at its end what became of its hits, and it adds up to what is in the topic."""
    accounts = accounts_in(tmp_path / "accounts").values()
    assert sum(one.accepted for one in accounts) == sum(one.delivered for one in accounts) == len(units)


@needs("gunicorn")
@pytest.mark.parametrize("kind", ["sync", "gthread", pytest.param("gevent", marks=needs("gevent"))])
@pytest.mark.parametrize("preload", [True, False], ids=["preload", "no preload"])
def test_gunicorn(start: Start, tmp_path: Path, bootstrap: str, topic: str, *, kind: str, preload: bool) -> None:
    (tmp_path / "app.py").write_text(WSGI, encoding="utf-8")
    configuration = f"from usersplit.hooks import worker_exit\npreload_app = {preload}\nworker_class = {kind!r}\n"
    (tmp_path / "gunicorn.conf.py").write_text(configuration, encoding="utf-8")
    port = free_port()
    server = start("-m", "gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "app:application")
    try:
        asked = ask_often(port, tmp_path / "output", workers=2)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(90) == 0
    units = units_in(bootstrap, topic)
    assert (len(units), len(set(units))) == (asked, asked)
    assert_accounted(tmp_path, units)


@needs("pyuwsgi")
@pytest.mark.parametrize("option", ["--master", "--lazy-apps"], ids=["forked with the application", "lazy"])
def test_uwsgi(start: Start, tmp_path: Path, bootstrap: str, topic: str, option: str) -> None:
    (tmp_path / "app.py").write_text(WSGI + "usersplit.hooks.flush_on_uwsgi_exit()\n", encoding="utf-8")
    port = free_port()
    options = ["--http-socket", f"127.0.0.1:{port}", "--master", "--processes", "2", "--enable-threads", "--need-app"]
    options += ["--wsgi-file", "app.py", "--die-on-term", option]
    server = start("-c", f"import sys; sys.argv = ['uwsgi']; import pyuwsgi; pyuwsgi.run({options!r})")
    try:
        asked = ask_often(port, tmp_path / "output", workers=2)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(90)
    units = units_in(bootstrap, topic)
    assert (len(units), len(set(units))) == (asked, asked)
    assert_accounted(tmp_path, units)


# What waits in C holds every greenlet of the process up, so Kafka's client must never be asked to wait.
GREENLETS = f"""
from gevent import monkey
monkey.patch_all()
{KEEPING_ACCOUNTS}
import confluent_kafka, gevent, usersplit._kafka_reports, usersplit._kafka_transport, usersplit._kafka_waiting
waits = []
class Watched(confluent_kafka.Producer):
    def poll(self, timeout=-1):
        waits.append(timeout)
        return super().poll(timeout)
    def flush(self, timeout=-1):
        waits.append(timeout)
        return super().flush(timeout)
usersplit._kafka_transport.Producer = usersplit._kafka_reports.Producer = Watched
from usersplit import HitLogger, KafkaHitTransport
import os
def logger(bootstrap_servers, **arguments):
    transport = KafkaHitTransport(bootstrap_servers, topic=os.environ["TOPIC"])
    return HitLogger(transport, app="a", environment_name="devel", **arguments)
def log(hits, count):
    for number in range(count):
        hits.log(test_key="k", variant="v", unit_type="user", unit_id=f"unit-{{number}}")
        gevent.sleep(0.001)
"""


@needs("gevent")
@pytest.mark.parametrize(
    "rest",
    [
        """
hits = logger(os.environ["BOOTSTRAP"])
log(hits, 100)
assert hits.flush(30), hits.stats()
assert set(waits) == {0}, waits
log(hits, 10)
hits.close(30)
assert hits.stats().delivered == 110, hits.stats()
assert set(waits) == {0}, waits
""",
        """
hits = logger("127.0.0.1:9", capacity=50)
log(hits, 100)
while len(waits) < 5:
    gevent.sleep(0.01)
hits.close(0.2)
stats = hits.stats()
assert stats.dropped["close_deadline"] and stats.accepted == sum(stats.dropped.values()), stats
assert set(waits) == {0}, waits
""",
    ],
    ids=["broker there", "broker away"],
)
def test_greenlets_are_never_held_up_by_kafkas_client(start: Start, tmp_path: Path, rest: str) -> None:
    assert start("-c", GREENLETS + rest).wait(60) == 0, (tmp_path / "output").read_text()
    (account,) = accounts_in(tmp_path / "accounts").values()
    assert account.accepted in {100, 110}


CELERY = (
    LOGGING
    + """
import celery
app = celery.Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
app.conf.worker_hijack_root_logger = False
usersplit.hooks.flush_on_celery_exit()
@app.task(name="show")
def show(number):
    log(f"unit-{number}")
    with open("done", "a") as done:
        done.write(".")
"""
)


@needs("celery")
@pytest.mark.parametrize("pool", ["prefork", "threads", pytest.param("gevent", marks=needs("gevent"))])
def test_celery(start: Start, tmp_path: Path, bootstrap: str, topic: str, pool: str) -> None:
    (tmp_path / "tasks.py").write_text(CELERY, encoding="utf-8")
    (tmp_path / "queue").mkdir()
    done = tmp_path / "done"
    done.touch()
    sending = start("-c", "import tasks\nfor number in range(20): tasks.show.delay(number)")
    assert sending.wait(90) == 0, (tmp_path / "output").read_text()
    worker = start("-m", "celery", "-A", "tasks", "worker", "--pool", pool, "--concurrency", "2")
    try:
        until(lambda: done.stat().st_size == 20, tmp_path / "output")
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(90)
    units = units_in(bootstrap, topic)
    assert sorted(units) == sorted(f"unit-{number}" for number in range(20))
    assert_accounted(tmp_path, units)


@pytest.mark.parametrize(
    "way",
    [
        """
children = [multiprocessing.Process(target=work, args=(n,)) for n in range(3)]
for child in children:
    child.start()
for child in children:
    child.join()
assert [child.exitcode for child in children] == [0, 0, 0]
""",
        """
with concurrent.futures.ProcessPoolExecutor(3) as pool:
    list(pool.map(work, range(3)))
""",
    ],
    ids=["Process", "ProcessPoolExecutor"],
)
def test_children_of_multiprocessing(start: Start, tmp_path: Path, bootstrap: str, topic: str, way: str) -> None:
    script = f"""{LOGGING}
import concurrent.futures, multiprocessing, time
log("parent before")
def work(number):
    log(f"{{number}}")
    time.sleep(0.2)  # the thread has looked
    log(f"{{number}} later")
{way}
log("parent after")
"""
    assert start("-c", script).wait(60) == 0, (tmp_path / "output").read_text()
    expected = [f"{number}{when}" for number in range(3) for when in ("", " later")]
    units = units_in(bootstrap, topic)
    assert sorted(units) == sorted([*expected, "parent before", "parent after"])
    assert_accounted(tmp_path, units)


@pytest.mark.parametrize(
    ("before", "code"),
    [
        ("", -signal.SIGTERM),
        ("signal.signal(signal.SIGTERM, lambda *_: os._exit(7))", 7),
    ],
    ids=["no handler", "a handler"],
)
def test_sigterm_delivers_and_then_does_what_it_did_before(
    start: Start, tmp_path: Path, bootstrap: str, topic: str, *, before: str, code: int
) -> None:
    script = f"""{LOGGING}
import pathlib, signal, time
{before}
usersplit.hooks.flush_on_sigterm()
log("first")
time.sleep(0.3)  # the thread has looked
for number in range(10):
    log(f"later-{{number}}")
pathlib.Path("ready").touch()
while True:  # a service at work, in the middle of anything
    hits.stats()
    sum(range(2000))
"""
    process = start("-c", script)
    until((tmp_path / "ready").exists, tmp_path / "output")
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == code
    units = units_in(bootstrap, topic)
    assert len(units) == 11
    assert_accounted(tmp_path, units)


def test_a_signal_that_is_ignored_stays_so(start: Start, tmp_path: Path) -> None:
    script = f"""{LOGGING}
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
usersplit.hooks.flush_on_sigterm()
os.kill(os.getpid(), signal.SIGTERM)
log("still open")
hits.close()
assert hits.stats().delivered == 1
"""
    assert start("-c", script).wait(90) == 0, (tmp_path / "output").read_text()
    (account,) = accounts_in(tmp_path / "accounts").values()
    assert account.accepted == account.delivered == 1
