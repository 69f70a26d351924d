"""The HTTP API under load: OFREP beside a bare ASGI app on the same server, and reads over PostgreSQL.

*OFREP*: `python -m entrypoints serve` with 30 running tests (the seed's filter shape, 50/50), asked with keep-alive by
wrk, with contexts of a thousand units. Beside it, in rounds that alternate, a bare ASGI app under the same uvicorn that
reads the body and answers a constant of the same length. Server and load have a core each. A ratio is the median of the
rounds' own ratios: what else the machine does in a round slows both sides. The microseconds of processor a request that
are printed beside each rate say the same without what the machine did meanwhile.

*Reads*: 1,000 tests in a PostgreSQL with fsync on, 200 requests a second (the list, one test, its settings, its
changelog, a check), each sent when its time has come, whether the one before it was answered or not; a latency counts
from then. `read_cpu_ms` is the server's processor time for each, which says more than latencies where a machine is busy
with other things as well.

`wrk` has to be installed (apt-get install wrk); a load of Python's own would be slower than what it measures.
"""

import asyncio
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np

from accounts.desk import Desk
from entrypoints.backbone import Backbone, migrate
from entrypoints.clock import now
from events import facts
from events.facts import split_test_stream
from events.store import Provenance
from tests.support.postgres import running_postgres

ROOT = Path(__file__).parents[1]
ROUNDS = 5
SECONDS = 3
CONNECTIONS = 32
TESTS_OF_OFREP = 30
TESTS_OF_READS = 1_000
READS_A_SECOND = 200
READ_SECONDS = 15

CONDITIONS = (
    '[{"filter": "is_test_user", "operator": "eq", "value": "Yes"}, "OR", '
    '[{"filter": "country_id", "operator": "in", "value": ["50"]}, "AND", '
    '{"filter": "is_new_user", "operator": "eq", "value": "1"}]]'
)
FILTERS = (
    facts.FilterUsed(name="country_id", type="integer", scope="user"),
    facts.FilterUsed(name="is_new_user", type="boolean", scope="user"),
    facts.FilterUsed(name="is_test_user", type="boolean", scope="user"),
)
BARE = """
import sys
BODY = b"x" * int(sys.argv[2])
HEADERS = [(b"content-type", b"application/json"), (b"etag", b'"0123456789abcdef-0123456789abcdef"'),
           (b"content-length", b"%d" % len(BODY))]

async def app(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})

import uvicorn
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off", server_header=False)
"""
LUA = """
local bodies = {}
for line in io.lines("%(bodies)s") do bodies[#bodies + 1] = line end
local number = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %(token)s"
function request()
  number = number %% #bodies + 1
  return wrk.format(nil, nil, nil, bodies[number])
end
function done(summary, latency, requests)
  local wrong = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
  print(string.format('{"requests": %%d, "microseconds": %%d, "p99": %%d, "wrong": %%d}', summary.requests,
    summary.duration, latency:percentile(99), wrong))
end
"""


def history(key: str, number: int) -> list[Any]:
    """The facts of a test that runs, half and half, with split groups of its own drawing."""
    drawn = np.random.default_rng(number).permutation(2400) + 1
    halves = [tuple(sorted(int(group) for group in half)) for half in (drawn[:1200], drawn[1200:])]
    return [
        facts.SplitTestCreated(key=key, name=f"Test {number}", author="anna", managers=("anna",)),
        facts.SettingsGroupProposed(
            key=key,
            settings_group=1,
            starts_at=datetime(2026, 1, 1, tzinfo=UTC),
            ends_at=datetime(2099, 1, 1, tzinfo=UTC),
            conditions=CONDITIONS,
            filters=FILTERS,
            variants=(
                facts.ProposedVariant(name="control", groups=1200, is_control=True),
                facts.ProposedVariant(name="treatment", groups=1200),
            ),
        ),
        facts.SettingsGroupPrepared(
            key=key,
            settings_group=1,
            seed=number,
            as_of_position=0,
            variants=(
                facts.PreparedVariant(name="control", split_groups=halves[0]),
                facts.PreparedVariant(name="treatment", split_groups=halves[1]),
            ),
            overlaps=(),
        ),
        facts.SplitTestPublished(key=key),
        facts.SplitTestStarted(key=key),
    ]


def key_of(number: int) -> str:
    """The key of a test."""
    return f"test_{number:04d}"


def fill(url: str, tests: int) -> str:
    """Make a database with so many running tests; return an API token."""
    migrate(url)
    backbone = Backbone(url)
    by_anna = Provenance(actor="anna", recorded_at=now())
    for number in range(tests):
        key = key_of(number)
        backbone.store.append(split_test_stream(key), history(key, number), expected_version=0, provenance=by_anna)
    backbone.projector.catch_up()
    desk = Desk(backbone.engine, now=now, monotonic=time.monotonic)
    desk.directory.create("anna", "viewer", password=None)
    _, token = desk.tokens.create("anna", label="load", scopes=["read", "evaluate"])
    backbone.close()
    return token


def cpu_seconds(process_id: int) -> float:
    """The time that a process has used a processor for."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(command: list[str], port: int, environment: dict[str, str], core: int | None) -> Iterator[int]:
    """Run a server until the end of the block, on one core if it is said; yield its process id."""
    pinned = ["taskset", "-c", str(core), *command] if core is not None else command
    with subprocess.Popen(
        pinned, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as server:
        try:
            wait_for(port, server)
            yield server.pid
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)


def wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Return once somebody listens."""
    while True:
        try:
            with urlopen(Request(f"http://127.0.0.1:{port}/health", method="GET"), timeout=5):
                return
        except OSError as error:
            if getattr(error, "code", None) is not None:
                return
            if server.poll() is not None:
                sys.exit("the server ended before it listened")
            time.sleep(0.1)


def serve(url: str, port: int, core: int | None) -> Any:
    """`python -m entrypoints serve` over a database."""
    environment = {"USERSPLIT_DATABASE_URL": url, "USERSPLIT_HTTP_PORT": str(port), "USERSPLIT_LOG_LEVEL": "ERROR"}
    return process([sys.executable, "-m", "entrypoints", "serve"], port, environment, core)


def context(number: int) -> dict[str, Any]:
    """The context of a unit."""
    return {
        "targetingKey": f"user-{number}",
        "split_group": number * 7919 % 2400 + 1,
        "country_id": 50 if number % 3 else 1,
        "is_new_user": number % 5 != 0,
        "is_test_user": number % 7 == 0,
    }


def load(url: str, script: Path, core: int | None, server: int) -> dict[str, float]:
    """Load a server with wrk; return what it says, and the microseconds of processor that a request took."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", str(script), url]
    pinned = ["taskset", "-c", str(core), *command] if core is not None else command
    before = cpu_seconds(server)
    said = subprocess.run(pinned, capture_output=True, text=True, check=True).stdout
    found: dict[str, float] = json.loads(said.strip().splitlines()[-1])
    assert found["wrong"] == 0, said
    return {
        "per_second": found["requests"] / found["microseconds"] * 1e6,
        "p99_ms": found["p99"] / 1000,
        "cpu": (cpu_seconds(server) - before) / found["requests"] * 1e6,
    }


def ask(port: int, path: str, token: str, body: Any = None) -> bytes:
    """Ask once."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = Request(
        f"http://127.0.0.1:{port}{path}", data=None if body is None else json.dumps(body).encode(), headers=headers
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - an address of this very machine
        return bytes(answer.read())


def ofrep(home: Path) -> dict[str, float]:
    """Compare OFREP with a bare app."""
    url = f"sqlite:///{home / 'ofrep.db'}"
    token = fill(url, TESTS_OF_OFREP)
    cores = os.cpu_count() or 1
    server_core, load_core = (0, 1) if cores > 1 else (None, None)
    bodies = home / "bodies"
    bodies.write_text("\n".join(json.dumps({"context": context(number)}) for number in range(1000)))
    script = home / "load.lua"
    script.write_text(LUA % {"bodies": bodies, "token": token})
    bare_file = home / "bare.py"
    bare_file.write_text(BARE)
    bulk, single = "/ofrep/v1/evaluate/flags", f"/ofrep/v1/evaluate/flags/{key_of(3)}"
    rounds: dict[str, list[dict[str, float]]] = {}
    with serve(url, 18_091, server_core) as ours:
        lengths = {
            name: round(statistics.mean(len(ask(18_091, path, token, {"context": context(i)})) for i in range(50)))
            for name, path in (("bulk", bulk), ("single", single))
        }
        for _ in range(ROUNDS):
            for name, path in (("bulk", bulk), ("single", single)):
                rounds.setdefault(name, []).append(load(f"http://127.0.0.1:18091{path}", script, load_core, ours))
                bare = [sys.executable, str(bare_file), "18092", str(lengths[name])]
                with process(bare, 18_092, {}, server_core) as theirs:
                    found = load(f"http://127.0.0.1:18092{path}", script, load_core, theirs)
                rounds.setdefault(f"bare {name}", []).append(found)
    for name, each in rounds.items():
        told = (f"{one['per_second']:9,.0f}/s p99 {one['p99_ms']:.1f} ms {one['cpu']:.0f} µs" for one in each)
        print(f"{name:12}", *told)
    return {
        "ofrep_bulk_to_bare": ratio(rounds["bulk"], rounds["bare bulk"]),
        "ofrep_bulk_per_second": round(statistics.median(one["per_second"] for one in rounds["bulk"])),
        "ofrep_bulk_p99_ms": round(statistics.median(one["p99_ms"] for one in rounds["bulk"]), 2),
        "ofrep_single_to_bare": ratio(rounds["single"], rounds["bare single"]),
    }


def ratio(ours: list[dict[str, float]], bare: list[dict[str, float]]) -> float:
    """The median of the rounds' own ratios."""
    each = [one["per_second"] / other["per_second"] for one, other in zip(ours, bare, strict=True)]
    return round(statistics.median(each), 3)


def reads(home: Path) -> dict[str, float]:
    """Measure reads at a steady rate over PostgreSQL."""
    del home
    with running_postgres() as postgres, postgres.new_database() as url:
        token = fill(url, TESTS_OF_READS)
        with serve(url, 18_093, None) as server:
            for path in ("/api/v1/tests", f"/api/v1/tests/{key_of(1)}"):
                ask(18_093, path, token)
            before = cpu_seconds(server)
            latencies = asyncio.run(steady(18_093, token))
            cpu = (cpu_seconds(server) - before) / len(latencies) * 1000
    print(f"reads took {cpu:.2f} ms of the server's processor each, {cpu * READS_A_SECOND / 10:.0f} % of one core")
    for name, quantile in (("median", 0.5), ("p95", 0.95), ("p99", 0.99), ("worst", 1.0)):
        print(f"reads {name:7} {np.quantile(latencies, quantile):7.1f} ms")
    return {"read_p99_ms": round(float(np.quantile(latencies, 0.99)), 1), "read_cpu_ms": round(cpu, 2)}


def requests(token: str) -> list[bytes]:
    """The requests that are sent in turn."""
    visit = json.dumps({"user": {"id": 42, "split_group": 7, "attributes": {"country_id": 50}}})
    made = []
    for number in range(40):
        key = key_of(number * 17 % TESTS_OF_READS)
        made += [("GET", f"/api/v1/tests?limit=50&search=test_{number:02d}", "")]
        made += [("GET", f"/api/v1/tests/{key}{part}", "") for part in ("", "/settings", "/changelog")]
        made += [("POST", f"/api/v1/tests/{key}/check", visit)]
    names = ("Host: x", "Authorization: Bearer {}", "Content-Type: application/json", "Content-Length: {}")
    head = "\r\n".join(("{} {} HTTP/1.1", *names, "", "{}"))
    return [head.format(method, path, token, len(body), body).encode() for method, path, body in made]


async def steady(port: int, token: str) -> list[float]:
    """Send requests at their times over as many connections as it takes; return latencies in milliseconds."""
    made, free, latencies = requests(token), asyncio.Queue[tuple[Any, Any]](), list[float]()

    async def one(number: int, due: float) -> None:
        reader, writer = free.get_nowait() if not free.empty() else await asyncio.open_connection("127.0.0.1", port)
        writer.write(made[number % len(made)])
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        latencies.append((time.perf_counter() - due) * 1000)
        free.put_nowait((reader, writer))

    began, tasks = time.perf_counter() + 0.1, []
    for number in range(READS_A_SECOND * READ_SECONDS):
        due = began + number / READS_A_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()
    return latencies


def main() -> None:
    """Measure, and print what was found."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as home:
        found = {**reads(Path(home)), **ofrep(Path(home))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
