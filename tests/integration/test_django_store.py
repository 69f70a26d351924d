"""The shop in Django keeps its guests, over WSGI and ASGI. In a process of its own: Django's settings belong to one."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

DJANGO = """
import json, sys
import asyncio, httpx
from werkzeug.test import Client
import usersplit
from examples import django_store
from tests.unit.examples.test_stores_with_guests import COOKIE, DOCUMENT, USERS

async def visit(shop):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shop), base_url="http://localhost") as browser:
        return [(await browser.get("/")).json()["button"] for _ in range(3)]

wire = usersplit.MemoryHitTransport()
hits = usersplit.HitLogger(wire, app="shop", environment_name="devel")
with usersplit.UserSplit(configs=usersplit.MemoryConfigs([DOCUMENT]), hits=hits) as client:
    django_store.configure(client, USERS)
    browser = Client(django_store.wsgi(COOKIE))
    by_wsgi = [browser.get("/", base_url="http://localhost").json["button"] for _ in range(3)]
    as_user = browser.get("/?user=2", base_url="http://localhost").json["button"]
    by_asgi = asyncio.run(visit(django_store.asgi(COOKIE)))
    client.flush()
assert len(set(by_wsgi)) == len(set(by_asgi)) == 1, (by_wsgi, by_asgi)
assert as_user == "blue"
units = [(hit.unit_type, hit.unit_id) for hit in wire.hits]
assert len(units) == 7 and len(set(units)) == 3 and ("user", "2") in units, units
"""


def test_the_django_shop_does_the_same_as_the_flask_shop_over_wsgi_and_asgi() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DJANGO],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
