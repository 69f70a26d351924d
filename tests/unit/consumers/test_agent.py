import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.agent import Agent
from consumers.config_files import ConfigFiles, UnusableDocument, read_document
from consumers.relay_records import HEARTBEAT_KEY
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import CONFIGS, all_topics
from tests.support.voices import said_by


def a_broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    return broker


def document(key: str = "green_button", position: object = 1, **fields: Any) -> bytes:
    shape = {"format": 1, "kind": "split_test", "key": key, "position": position, "status": "running"}
    return json.dumps({**shape, **fields}).encode()


def send(broker: MemoryBroker, *records: tuple[str, bytes | None]) -> None:
    broker.producer().send([OutgoingMessage(topic=CONFIGS, key=key.encode(), value=value) for key, value in records])


def state(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / ".agent.json").read_bytes())
    return found


def files(directory: Path) -> set[str]:
    return {file.name for file in directory.iterdir()} - {".agent.json"}


def position_on_disk(directory: Path, key: str = "green_button") -> int:
    return int(json.loads((directory / f"{key}.json").read_bytes())["position"])


def settle(agent: Agent) -> None:
    while agent.step(timeout_seconds=0):
        pass


def test_a_file_holds_the_bytes_of_the_record_exactly(tmp_path: Path) -> None:
    broker = a_broker()
    content = b'{"format":1,  "kind":"split_test","key":"a","position":3,"status":"running","later":[1.0,"\xc3\xa9"]}\n'
    send(broker, ("a", content))
    assert Agent(broker, tmp_path / "configs").step() == 1
    assert (tmp_path / "configs" / "a.json").read_bytes() == content


def test_older_and_equal_positions_are_ignored(tmp_path: Path) -> None:
    broker = a_broker()
    agent = Agent(broker, tmp_path)
    for position, changes in [(5, 1), (4, 0), (5, 0), (6, 1), (1, 0)]:
        send(broker, ("green_button", document(position=position, type=f"type {position}")))
        assert agent.step() == changes
    assert position_on_disk(tmp_path) == 6


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 9)), max_size=12), st.integers(1, 4))
def test_duplicates_and_any_order_leave_the_newest_of_each_test(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[str, int]], batch_size: int
) -> None:
    broker, directory = a_broker(), tmp_path_factory.mktemp("configs")
    send(broker, *[(key, document(key, position)) for key, position in sent])
    agent = Agent(broker, directory, batch_size=batch_size)
    for _ in range(len(sent) + 1):
        agent.step(timeout_seconds=0)
    assert {key: position_on_disk(directory, key) for key, _ in sent} == {
        key: max(position for other, position in sent if other == key) for key, _ in sent
    }
    assert files(directory) == {f"{key}.json" for key, _ in sent}


def test_an_old_directory_never_goes_back_while_the_topic_is_read(tmp_path: Path) -> None:
    (tmp_path / "green_button.json").write_bytes(document(position=9))
    broker = a_broker()
    send(broker, *[("green_button", document(position=position)) for position in (7, 8, 9, 9, 10)])
    send(broker, ("other", document("other", 2)))
    agent, seen = Agent(broker, tmp_path, batch_size=1), []
    while not agent.ready:
        agent.step(timeout_seconds=0)
        seen.append(position_on_disk(tmp_path))
    assert seen == [9, 9, 9, 9, 10, 10]
    assert position_on_disk(tmp_path, "other") == 2


DAMAGES = {
    "variants lost at the same position": document(position=5, variants=[]),
    "fields lost at the same position": document(position=5),
    "a position from beyond": document(position=10**12, variants=["red"]),
    "a position raised by one": document(position=6, variants=["blue"]),
    "a position lowered": document(position=1, variants=["red"]),
    "torn": document(position=5, variants=["red"])[:40],
    "empty": b"",
    "another kind": document(position=5, kind="user_group"),
    "another test's": document("other", position=5),
}


@pytest.mark.parametrize("what", DAMAGES)
@pytest.mark.parametrize("batch_size", [1, 100])
def test_a_damaged_file_is_what_the_topic_says_again_once_the_agent_is_ready(
    tmp_path: Path, what: str, batch_size: int
) -> None:
    good = document(position=5, variants=["red"])
    (tmp_path / "green_button.json").write_bytes(DAMAGES[what])
    broker = a_broker()
    send(broker, *[("green_button", content) for content in (document(position=4), document(position=5, old=1), good)])
    agent = Agent(broker, tmp_path, batch_size=batch_size)
    while not agent.ready:
        agent.step(timeout_seconds=0)
    assert (tmp_path / "green_button.json").read_bytes() == good
    send(broker, ("green_button", document(position=4)))
    assert agent.step() == 0
    send(broker, ("green_button", document(position=6)))
    assert agent.step() == 1


def test_a_torn_file_is_not_replaced_by_a_document_that_the_server_has_outlived(tmp_path: Path) -> None:
    (tmp_path / "green_button.json").write_bytes(document(position=9)[:30])
    broker = a_broker()
    send(broker, *[("green_button", document(position=position)) for position in (7, 9)])
    agent = Agent(broker, tmp_path, batch_size=1)
    assert agent.step() == 0
    assert (tmp_path / "green_button.json").read_bytes() == document(position=9)[:30]
    assert agent.step() == 1
    assert position_on_disk(tmp_path) == 9


def test_a_file_above_the_topic_is_replaced_with_an_error_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "green_button.json").write_bytes(document(position=9))
    broker = a_broker()
    send(broker, ("green_button", document(position=8)))
    assert Agent(broker, tmp_path).step() == 1
    assert position_on_disk(tmp_path) == 8
    (told,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "was at position 9 and the topic has nothing newer than 8" in told.getMessage()


def test_files_that_the_topic_does_not_know_stay_until_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "green_button.json").write_bytes(document(position=9))
    broker = a_broker()
    agent = Agent(broker, tmp_path)
    agent.step(timeout_seconds=0)
    assert agent.ready
    assert position_on_disk(tmp_path) == 9
    assert "1 files stay as they are though the topic says nothing of their tests" in caplog.text
    send(broker, ("green_button", document(position=8)))
    assert agent.step() == 1, "the log of an older database uses positions again"
    assert position_on_disk(tmp_path) == 8


def test_what_an_earlier_run_said_of_its_position_is_believed_until_the_topic_was_read(tmp_path: Path) -> None:
    shape = {"format": 1, "kind": "agent", "ready": True, "position": 10**12, "heartbeat_at": "9999-01-01T00:00:00Z"}
    (tmp_path / ".agent.json").write_text(json.dumps(shape))
    broker = a_broker()
    beat = {"format": 1, "kind": "heartbeat", "position": 7, "at": "2026-05-02T12:00:10Z"}
    send(broker, (HEARTBEAT_KEY.decode(), json.dumps(beat).encode()), ("a", document("a", 3)))
    agent = Agent(broker, tmp_path, batch_size=1)
    agent.step()
    assert (agent.ready, agent.position) == (False, 10**12)
    agent.step()
    assert (agent.ready, agent.position, agent.heartbeat_at) == (True, 7, "2026-05-02T12:00:10Z")


def test_a_torn_file_on_disk_is_replaced_by_the_next_document(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "green_button.json").write_bytes(document(position=9)[:20])
    (tmp_path / ".green_button.json.part").write_bytes(b"left by a crash")
    broker = a_broker()
    agent = Agent(broker, tmp_path)
    assert "green_button.json is not used" in caplog.text
    send(broker, ("green_button", document(position=8)))
    agent.step()
    assert position_on_disk(tmp_path) == 8
    assert files(tmp_path) == {"green_button.json"}


UNUSABLE = {
    "torn": ("a", document("a", 2)[:-5]),
    "empty": ("a", b""),
    "tombstone": ("a", None),
    "not an object": ("a", b"[]"),
    "not UTF-8": ("a", b"\xff\xfe\x00"),
    "nested beyond reason": ("a", b"[" * 100_000),
    "from the future": ("a", document("a", 2, format=2)),
    "another key than its record": ("a", document("b", 2)),
    "no position": ("a", document("a", None)),
    "a position that is a truth": ("a", document("a", position=True)),
    "a negative position": ("a", document("a", -1)),
    "no status": ("a", document("a", 2, status=None)),
    "a way out": ("../a", document("../a", 2)),
    "an absolute path": ("/etc/a", document("/etc/a", 2)),
    "a hidden file": (".a", document(".a", 2)),
    "the agent's own file": (".agent", document(".agent", 2)),
    "dots": ("..", document("..", 2)),
    "a line break": ("a\n", document("a\n", 2)),
    "an empty key": ("", document("", 2)),
    "too long": ("a" * 101, document("a" * 101, 2)),
    "not ASCII": ("ä", document("ä", 2)),
    "a torn heartbeat": (HEARTBEAT_KEY.decode(), b'{"format":1'),
    "a heartbeat without a position": (HEARTBEAT_KEY.decode(), b'{"format":1,"kind":"heartbeat"}'),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_record_that_is_no_document_is_ignored_with_a_warning_and_the_last_good_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    directory = tmp_path / "inner" / "configs"
    broker = a_broker()
    send(broker, ("a", document("a", 1)), UNUSABLE[what], ("b", document("b", 3)))
    agent = Agent(broker, directory)
    with caplog.at_level(logging.WARNING):
        agent.step()
    assert position_on_disk(directory, "a") == 1
    assert position_on_disk(directory, "b") == 3
    assert files(directory) == {"a.json", "b.json"}
    assert agent.ready
    assert "partition 0, offset 1 is ignored" in caplog.text


def test_other_kinds_of_documents_are_none_of_the_agents_business(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = a_broker()
    send(broker, ("a", document("a", 1, kind="of_the_future")))
    assert Agent(broker, tmp_path).step() == 0
    assert files(tmp_path) == set()
    assert said_by("consumers.agent", caplog) == said_by("consumers.config_files", caplog) == []


def test_an_unpublished_test_keeps_its_file_with_the_status_that_says_so(tmp_path: Path) -> None:
    broker = a_broker()
    agent = Agent(broker, tmp_path)
    for position, status in enumerate(["in_dev", "draft", "discarded"], start=1):
        send(broker, ("a", document("a", position, status=status)))
        agent.step()
        assert json.loads((tmp_path / "a.json").read_bytes())["status"] == status


def test_the_agent_is_ready_only_after_the_end_it_saw_at_its_start(tmp_path: Path) -> None:
    broker = a_broker()
    send(broker, *[("a", document("a", position)) for position in range(1, 6)])
    agent = Agent(broker, tmp_path, batch_size=2)
    seen = []
    for later in range(6, 9):
        agent.step()
        send(broker, ("a", document("a", later)))
        seen.append((agent.ready, state(tmp_path)["ready"]))
    assert seen == [(False, False), (False, False), (True, True)]


def test_on_an_empty_topic_the_agent_is_ready_at_once(tmp_path: Path) -> None:
    agent = Agent(a_broker(), tmp_path)
    assert not agent.ready
    agent.step(timeout_seconds=0)
    assert agent.ready


def test_without_its_topic_the_agent_waits_and_the_files_of_the_last_run_stay(tmp_path: Path) -> None:
    (tmp_path / "green_button.json").write_bytes(document(position=9))
    broker = MemoryBroker()
    agent = Agent(broker, tmp_path)
    for _ in range(2):
        assert agent.step(timeout_seconds=0) == 0
        assert not agent.ready
    assert position_on_disk(tmp_path) == 9
    broker.ensure_topics(all_topics(hit_partitions=1))
    send(broker, ("green_button", document(position=10)))
    assert agent.step() == 1
    assert agent.ready


def test_the_state_file_tells_position_and_heartbeat_and_a_restart_remembers_them(tmp_path: Path) -> None:
    broker = a_broker()

    def beat(position: int, at: str) -> tuple[str, bytes]:
        shape = {"format": 1, "kind": "heartbeat", "position": position, "at": at}
        return HEARTBEAT_KEY.decode(), json.dumps(shape).encode()

    send(broker, ("a", document("a", 3)), beat(7, "2026-05-02T12:00:10Z"))
    agent = Agent(broker, tmp_path)
    assert state(tmp_path) == {"format": 1, "kind": "agent", "ready": False, "position": 0, "heartbeat_at": None}
    agent.step()
    known = {"position": 7, "heartbeat_at": "2026-05-02T12:00:10Z"}
    assert state(tmp_path) == {"format": 1, "kind": "agent", "ready": True, **known}
    send(broker, beat(6, "2026-05-02T12:00:30Z"))
    agent.step()
    assert state(tmp_path)["heartbeat_at"] == "2026-05-02T12:00:10Z", "an older relay's heartbeat proves nothing"
    agent.close()
    Agent(MemoryBroker(), tmp_path)
    assert state(tmp_path) == {"format": 1, "kind": "agent", "ready": False, **known}


@given(st.binary(max_size=60) | st.none(), st.binary(max_size=200))
def test_no_record_whatsoever_makes_reading_it_fail_otherwise(key: bytes | None, content: bytes) -> None:
    try:
        found = read_document(key, content)
    except UnusableDocument:
        return
    assert found is None or found.key.encode() == key


def test_a_document_that_cannot_be_written_stops_the_agent_and_leaves_the_last_good_one(tmp_path: Path) -> None:
    (tmp_path / "green_button.json").write_bytes(document(position=1))
    configs = ConfigFiles(tmp_path)
    (tmp_path / ".green_button.json.part").mkdir()
    newer = read_document(b"green_button", document(position=2))
    assert newer is not None
    with pytest.raises(OSError, match="directory"):
        configs.apply(newer)
    assert position_on_disk(tmp_path) == 1
    (tmp_path / ".green_button.json.part").rmdir()
    assert configs.apply(newer)


def test_the_same_position_in_other_words_replaces_the_file_and_in_the_same_words_does_not(tmp_path: Path) -> None:
    broker = a_broker()
    agent = Agent(broker, tmp_path)
    for content, changes in [(document(position=5), 1), (document(position=5), 0), (document(position=5, new=1), 1)]:
        send(broker, ("green_button", content))
        assert agent.step() == changes
    assert (tmp_path / "green_button.json").read_bytes() == document(position=5, new=1)
    send(broker, ("green_button", document(position=6)), ("green_button", document(position=6, new=1)))
    assert agent.step() == 1
    assert (tmp_path / "green_button.json").read_bytes() == document(position=6, new=1)


def test_the_agent_tells_what_it_has_laid_out_at_its_start_and_at_every_change(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_bytes(document("old", position=2))
    broker, told = a_broker(), []
    agent = Agent(broker, tmp_path, tell=lambda position, tests: told.append((position, dict(tests))))
    assert told == [(2, {"old": 2})]
    send(broker, ("a", document("a", 7)))
    agent.step()
    agent.step(timeout_seconds=0)
    assert told[-1] == (7, {"old": 2, "a": 7})
    count = len(told)
    agent.step(timeout_seconds=0)
    assert len(told) == count
    assert (agent.files, agent.position, agent.heartbeat_at) == (2, 7, "")
