"""A service without an agent: its checks follow the server's changes, and outlive the server."""

from pathlib import Path

import pytest

from tests.support.api import SETTINGS, Api
from tests.support.served import behind_a_port
from tests.support.terminal import wait_until
from usersplit import Checker, HttpConfigs, User
from usersplit.names import main


def test_a_service_gets_its_configs_over_http_and_keeps_them_when_the_server_dies(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("big_photo", "green_button"):
        api.draft(key, settings=SETTINGS)
        for step in ("publish", "start"):
            api.done("ann", "POST", f"/api/v1/tests/{key}/{step}")
    _, token = api.desk.tokens.create("vera", label="a service", scopes=["read"])
    _, wrong = api.desk.tokens.create("vera", label="a browser", scopes=["evaluate"])
    kept = tmp_path / "configs.json"
    ada = User(id=42, split_group=7, attributes={"country_id": 50})

    with behind_a_port(api.front) as url:
        with HttpConfigs(url, token=wrong) as refused:
            assert "it needs the scope read (403)" in refused.problems()[0].reason
        configs = HttpConfigs(url, token=token, reload_seconds=0.05, cache_file=kept)
        checker = Checker(configs)
        answers = checker.active_variants(ada)
        assert answers.keys() == {"big_photo", "green_button"}

        before = configs.published.current
        configs.reload()
        assert configs.published.current is before  # 304: nothing was sent
        unchanged = configs.find("green_button")
        api.done("ann", "POST", "/api/v1/tests/big_photo/pause")
        wait_until("the change arrives", lambda: checker.get_active_variant("big_photo", ada) is None)
        assert configs.find("green_button") is unchanged
        assert configs.problems() == ()
        assert configs.staleness_seconds() < 30

        # The command for CI asks the same address.
        monkeypatch.setenv("USERSPLIT_TOKEN", token)
        names = str(tmp_path / "split_tests.py")
        assert main([url, names]) == 0
        assert main([url, names, "--check"]) == 0
        assert "class BigPhoto" in Path(names).read_text()

    wait_until("the service notices", lambda: bool(configs.problems()))
    stale = configs.staleness_seconds()
    wait_until("staleness grows", lambda: configs.staleness_seconds() > stale)
    assert checker.active_variants(ada) == {"green_button": answers["green_button"]}
    with HttpConfigs(url, token=token, cache_file=kept) as restarted:
        assert Checker(restarted).active_variants(ada) == {"green_button": answers["green_button"]}
        assert restarted.staleness_seconds() == float("inf")
    assert main([url, names, "--check"]) == 2
    assert "cannot be asked" in capsys.readouterr().err
    configs.close()
