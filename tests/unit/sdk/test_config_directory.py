"""Configs from a directory: fresh without a restart, and never worse than the last good ones."""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sdk_config_documents import config_document
from tests.support.voices import said_by
from usersplit import Checker, DirectoryConfigs, User

CONFIGS_LOG = "usersplit.configs"


def put(directory: Path, key: str = "green_button", *, text: str | None = None, **changes: object) -> None:
    """As the agent does it: a file beside, moved into place."""
    beside = directory / f".{key}.new"
    beside.write_text(json.dumps(config_document(key, **changes)) if text is None else text, encoding="utf-8")
    beside.replace(directory / f"{key}.json")


def status_of(configs: DirectoryConfigs, key: str = "green_button") -> str | None:
    config = configs.find(key)
    return None if config is None else config.status


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    put(tmp_path, position=10)
    return tmp_path


@pytest.fixture
def configs(directory: Path) -> Iterator[DirectoryConfigs]:
    with DirectoryConfigs(directory, reload_seconds=1000) as opened:
        yield opened


def test_the_first_check_finds_what_is_there(configs: DirectoryConfigs) -> None:
    assert status_of(configs) == "running"
    assert configs.keys() == ("green_button",)
    assert configs.problems() == ()


def test_a_changed_file_is_taken_without_a_restart(directory: Path) -> None:
    with DirectoryConfigs(directory, reload_seconds=0.01) as configs:
        put(directory, position=11, status="paused")
        put(directory, "another")
        deadline = time.monotonic() + 10
        while (status_of(configs), status_of(configs, "another")) != ("paused", "running"):
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps(config_document(position=11, status="paused"))[:200],
        "<?php return [];",
        json.dumps(config_document("blue_button", position=11)),
        json.dumps(config_document(position=11, format=2)),
        json.dumps(config_document(position=11, variants=None)),
        json.dumps(config_document(position=9, status="paused")),
    ],
    ids=["empty", "torn", "foreign", "mis-keyed", "future", "malformed", "older"],
)
def test_the_last_good_config_stays_with_one_warning_per_version_of_the_file(
    directory: Path, configs: DirectoryConfigs, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    caplog.set_level(logging.WARNING, logger=CONFIGS_LOG)
    put(directory, text=text)
    for _ in range(3):
        configs.reload()
    assert status_of(configs) == "running"
    assert [problem.file for problem in configs.problems()] == ["green_button.json"]
    assert len(said_by(CONFIGS_LOG, caplog)) == 1
    put(directory, position=12, status="paused")
    configs.reload()
    assert status_of(configs) == "paused"
    assert configs.problems() == ()


def test_a_torn_file_of_a_test_never_seen_leaves_it_unknown(directory: Path, configs: DirectoryConfigs) -> None:
    put(directory, "another", text="{")
    configs.reload()
    assert status_of(configs, "another") is None
    (problem,) = configs.problems()
    assert problem.reason.endswith("The test is unknown.")


def test_a_document_of_another_kind_is_passed_over_in_silence(directory: Path, configs: DirectoryConfigs) -> None:
    put(directory, "circle", kind="user_group")
    configs.reload()
    assert configs.keys() == ("green_button",)
    assert configs.problems() == ()


def test_a_document_of_another_kind_in_a_tests_file_keeps_the_last_good_config_with_one_warning(
    directory: Path, configs: DirectoryConfigs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger=CONFIGS_LOG)
    put(directory, kind="user_group", position=11)
    for _ in range(3):
        configs.reload()
    assert status_of(configs) == "running"
    (problem,) = configs.problems()
    assert problem.file == "green_button.json"
    assert problem.reason.endswith("The last good config stays in force.")
    assert len(said_by(CONFIGS_LOG, caplog)) == 1
    put(directory, position=11, status="paused")
    configs.reload()
    assert status_of(configs) == "paused"
    assert configs.problems() == ()


def test_other_words_at_the_same_position_are_taken(directory: Path, configs: DirectoryConfigs) -> None:
    put(directory, position=10, status="paused")
    configs.reload()
    assert status_of(configs) == "paused"
    assert configs.problems() == ()


def test_a_removed_file_is_an_unknown_test(directory: Path, configs: DirectoryConfigs) -> None:
    put(directory, "another", text="{")
    configs.reload()
    (directory / "green_button.json").unlink()
    (directory / "another.json").unlink()
    configs.reload()
    assert configs.keys() == ()
    assert configs.problems() == ()


def test_an_unreadable_directory_keeps_everything(directory: Path, configs: DirectoryConfigs) -> None:
    directory.rename(directory.with_name(f"{directory.name} elsewhere"))
    configs.reload()
    assert status_of(configs) == "running"
    assert [problem.file for problem in configs.problems()] == [""]
    directory.with_name(f"{directory.name} elsewhere").rename(directory)
    configs.reload()
    assert configs.problems() == ()


def test_a_directory_that_appears_later_is_read_then(tmp_path: Path) -> None:
    with DirectoryConfigs(tmp_path / "later", reload_seconds=1000) as configs:
        assert status_of(configs) is None
        assert configs.staleness_seconds() == float("inf")
        (tmp_path / "later").mkdir()
        put(tmp_path / "later")
        configs.reload()
        assert status_of(configs) == "running"
        assert configs.staleness_seconds() < 60


def test_staleness_counts_from_the_last_look_that_succeeded(directory: Path) -> None:
    moments = iter([100.0, 107.5, 108.0, 109.0])
    with DirectoryConfigs(directory, reload_seconds=1000, monotonic=lambda: next(moments)) as configs:
        assert configs.staleness_seconds() == 7.5
        directory.rename(directory.with_name(f"{directory.name} elsewhere"))
        configs.reload()
        assert configs.staleness_seconds() == 8.0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a thing of Unix")
def test_what_is_no_file_is_a_problem_and_does_not_block(directory: Path, configs: DirectoryConfigs) -> None:
    os.mkfifo(directory / "pipe.json")
    (directory / "folder.json").mkdir()
    (directory / "dangling.json").symlink_to(directory / "nowhere")
    configs.reload()
    assert {problem.file for problem in configs.problems()} == {"pipe.json", "folder.json"}
    assert status_of(configs) == "running"


def test_one_bad_entry_is_a_problem_of_that_file_alone(directory: Path, configs: DirectoryConfigs) -> None:
    put(directory, "another")
    configs.reload()
    good = (directory / "another.json").read_bytes()
    (directory / "another.json").unlink()
    (directory / "another.json").symlink_to("another.json")
    (directory / "loop.json").symlink_to("loop.json")
    put(directory, position=11, status="paused")
    configs.reload()
    assert status_of(configs) == "paused"
    assert status_of(configs, "another") == "running", "the last good one"
    reasons = {problem.file: problem.reason for problem in configs.problems()}
    assert reasons.keys() == {"another.json", "loop.json"}
    assert reasons["another.json"].endswith("The last good config stays in force.")
    assert reasons["loop.json"].endswith("The test is unknown.")
    (directory / "loop.json").unlink()
    (directory / "another.json").unlink()
    (directory / "another.json").write_bytes(good)
    configs.reload()
    assert configs.problems() == ()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is denied to root")
def test_a_directory_that_may_not_be_searched_is_a_problem_of_the_directory(
    directory: Path, configs: DirectoryConfigs
) -> None:
    directory.chmod(0o400)
    configs.reload()
    directory.chmod(0o700)
    assert status_of(configs) == "running"
    assert [problem.file for problem in configs.problems()] == [""]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted where the system lists them")
def test_looking_at_a_folder_again_and_again_leaves_nothing_open(directory: Path, configs: DirectoryConfigs) -> None:
    (directory / "folder.json").mkdir()
    configs.reload()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        configs.reload()
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 20


def test_files_that_are_being_written_are_not_read(directory: Path, configs: DirectoryConfigs) -> None:
    (directory / ".another.json").write_text("{")
    (directory / "notes.txt").write_text("{")
    configs.reload()
    assert configs.problems() == ()


def test_a_file_rewritten_in_place_with_the_same_size_is_noticed(directory: Path, configs: DirectoryConfigs) -> None:
    file = directory / "green_button.json"
    text = file.read_text()
    time.sleep(0.01)  # a clock of a file system ticks
    file.write_text(text.replace('"position": 10', '"position": 99'))
    configs.reload()
    config = configs.find("green_button")
    assert config is not None
    assert config.position == 99


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Threads take turns fifty times as often: more places to be interrupted at, and less waiting for eight of them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_eight_threads_see_each_config_whole_while_it_is_replaced(directory: Path) -> None:
    # Position n says variant n % 2 for every group; a mixture of two documents would show as a third answer.
    def write(position: int) -> None:
        groups = list(range(1, 2401))
        variants = [{"name": f"v{position}", "split_groups": groups}]
        put(
            directory,
            position=position,
            settings_group=position,
            variants=variants,
            conditions=[],
            filters={},
            ends_at="2999-01-01T00:00:00Z",
        )

    write(11)
    done = threading.Event()
    wrong: list[object] = []
    with DirectoryConfigs(directory, reload_seconds=0.001) as configs:
        checker = Checker(configs)
        unit = User(id=1, split_group=1200)

        def check() -> None:
            last = 0
            while not done.is_set():
                answer = checker.explain("green_button", unit)
                if answer.variant != f"v{answer.settings_group}" or answer.settings_group < last:
                    wrong.append(answer)
                last = answer.settings_group

        threads = [threading.Thread(target=check) for _ in range(8)]
        for thread in threads:
            thread.start()
        for position in range(12, 20):
            write(position)
            configs.reload()
        done.set()
        for thread in threads:
            thread.join()
        assert configs.find("green_button").position == 19  # type: ignore[union-attr]
    assert wrong == []


def test_closing_twice_is_fine_and_checks_go_on(directory: Path) -> None:
    configs = DirectoryConfigs(directory)
    configs.close()
    configs.close()
    assert status_of(configs) == "running"


def test_one_left_unclosed_warns(directory: Path) -> None:
    opened = [DirectoryConfigs(directory)]
    with pytest.warns(ResourceWarning, match="unclosed DirectoryConfigs"):
        opened.clear()  # the last reference
