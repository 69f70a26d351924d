"""The commands of docs/api.md, run by a shell from top to bottom against the application behind a port."""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from accounts.identity import PERMISSIONS
from tests.support.api import Api
from tests.support.served import behind_a_port
from tests.support.tiers import remember

GUIDE = Path(__file__).parents[3] / "docs" / "api.md"
CURL = 'curl() { command curl --fail-with-body --silent --show-error "$@" && echo; }'


def test_the_commands_of_the_guide_work(api: Api, request: pytest.FixtureRequest) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        remember(request.config, "curl", "missing, the commands of docs/api.md were not run")
        if os.environ.get("REQUIRE_REAL"):
            pytest.fail("curl and bash are needed: apt-get install curl")
        pytest.skip("curl is not installed")
    blocks = re.findall(r"^```sh\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    script = "\n".join(["set -eu", CURL, *blocks])
    _, token = api.desk.tokens.create("ann", label="guide", scopes=PERMISSIONS)
    stop = threading.Event()
    preparing = threading.Thread(target=api.backbone.preparer.run, args=(stop,), daemon=True)
    following = threading.Thread(target=api.live.follow, args=(stop,), daemon=True)
    preparing.start()
    following.start()
    try:
        with behind_a_port(api.front) as url:
            environment = {**os.environ, "SERVER": url, "TOKEN": token}
            ran = subprocess.run(
                ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=120
            )
    finally:
        stop.set()
        preparing.join(30)
        following.join(30)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert api.done("vera", "GET", "/api/v1/tests/green_button")["status"] == "finished"
    assert api.done("vera", "GET", "/api/v1/user-groups/premium_users")["status"] == "off"
    assert '"reason":"forced"' not in ran.stdout
