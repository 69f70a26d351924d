"""An agent, when a directory or a topic holds what nobody of ours wrote."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consumers.agent import Agent
from consumers.relay_records import HEARTBEAT_KEY
from entrypoints.metrics import of_agent
from streams.memory import MemoryBroker
from streams.messages import OutgoingMessage
from streams.topics import CONFIGS, all_topics

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
MADE_UP = 2**63


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics(all_topics(hit_partitions=1))
    return broker


def beat(broker: MemoryBroker, position: int, at: object) -> None:
    heartbeat = {"format": 1, "kind": "heartbeat", "position": position, "at": at}
    broker.producer().send([OutgoingMessage(topic=CONFIGS, key=HEARTBEAT_KEY, value=json.dumps(heartbeat).encode())])


def document(position: int, key: str = "a") -> bytes:
    shape = {"format": 1, "kind": "split_test", "key": key, "position": position, "status": "running"}
    return json.dumps(shape).encode()


def staleness(agent: Agent, now: datetime) -> dict[str, float]:
    return {name: value for name, _, value in of_agent(agent, lambda: now)() if "staleness" in name}


@pytest.mark.parametrize("at", ["", "yesterday", "2026-05-02T12:00:00", None, 7])
def test_a_heartbeat_without_a_moment_is_ignored(
    broker: MemoryBroker, tmp_path: Path, at: object, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent(broker, tmp_path)
    beat(broker, 5, "2026-05-02T12:00:00Z")
    beat(broker, 6, at)
    with caplog.at_level(logging.WARNING):
        agent.step()
    assert "offset 1 is ignored" in caplog.text
    assert (agent.position, agent.heartbeat_at) == (5, "2026-05-02T12:00:00Z")
    assert list(staleness(agent, NOW).values()) == [0]


@pytest.mark.parametrize("at", ["", "yesterday", "2026-05-02T12:00:00", None, 7])
def test_a_moment_that_an_earlier_run_never_wrote_is_none(tmp_path: Path, at: object) -> None:
    state: dict[str, Any] = {"format": 1, "kind": "agent", "position": 3, "heartbeat_at": at}
    (tmp_path / ".agent.json").write_text(json.dumps(state))
    agent = Agent(MemoryBroker(), tmp_path)
    assert agent.heartbeat_at == ""
    assert staleness(agent, NOW) == {}


def test_a_relay_whose_clock_was_in_the_future_for_a_moment_does_not_seem_alive_for_ever(
    broker: MemoryBroker, tmp_path: Path
) -> None:
    agent = Agent(broker, tmp_path)
    for at in ("2099-01-01T00:00:00Z", "2026-05-02T12:00:00Z"):
        beat(broker, 5, at)
        agent.step()
    assert agent.heartbeat_at == "2026-05-02T12:00:00Z"
    assert list(staleness(agent, NOW + timedelta(minutes=5)).values()) == [300]


def test_a_heartbeat_from_the_future_is_as_far_off_as_one_of_the_past(broker: MemoryBroker, tmp_path: Path) -> None:
    agent = Agent(broker, tmp_path)
    beat(broker, 5, "2026-05-02T13:00:00Z")
    agent.step()
    assert list(staleness(agent, NOW).values()) == [3600], "else nobody hears for an hour that the relay is dead"


def test_a_position_that_was_made_up_is_neither_believed_nor_reported(broker: MemoryBroker, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(document(MADE_UP))
    told = []
    agent = Agent(broker, tmp_path, tell=lambda position, tests: told.append((position, dict(tests))))
    assert told == [(0, {})]
    broker.producer().send([OutgoingMessage(topic=CONFIGS, key=b"a", value=document(3))])
    agent.step()
    assert (tmp_path / "a.json").read_bytes() == document(3)
    assert told[-1] == (3, {"a": 3})


def test_a_document_below_the_newest_heartbeat_is_told_too(broker: MemoryBroker, tmp_path: Path) -> None:
    """As one that was withheld, and is sent when the topic takes it at last."""
    told: list[dict[str, int]] = []
    agent = Agent(broker, tmp_path, tell=lambda _, tests: told.append(dict(tests)))
    beat(broker, 9, "2026-05-02T12:00:00Z")
    agent.step()
    broker.producer().send([OutgoingMessage(topic=CONFIGS, key=b"a", value=document(7))])
    agent.step()
    assert told[-1] == {"a": 7}


def test_a_folder_in_the_place_of_a_file_keeps_no_other_test_from_being_laid_out(
    broker: MemoryBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.json" / "kept").mkdir(parents=True)
    (tmp_path / "b.json").write_text("torn")
    told: list[dict[str, int]] = []
    agent = Agent(broker, tmp_path, tell=lambda _, tests: told.append(dict(tests)))
    for key in ("a", "b"):
        broker.producer().send([OutgoingMessage(topic=CONFIGS, key=key.encode(), value=document(3, key))])
    agent.step()
    assert agent.ready
    assert (tmp_path / "b.json").read_bytes() == document(3, "b")
    assert told[-1] == {"b": 3}, "the test is red for this server"
    assert "a.json is a folder" in caplog.text
    (tmp_path / "a.json" / "kept").rmdir()
    (tmp_path / "a.json").rmdir()
    broker.producer().send([OutgoingMessage(topic=CONFIGS, key=b"a", value=document(4))])
    agent.step()
    assert told[-1] == {"a": 4, "b": 3}
