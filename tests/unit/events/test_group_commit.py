"""Which appends go together, and what becomes of the others where one fails or is interrupted."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from types import FrameType

import pytest

from events.errors import DatabaseUnavailable, SchemaMissing
from events.group_commit import MOST_FACTS, GroupCommit
from events.registry import EncodedFact
from events.sql_append import Batch, answers_up_to
from events.store import Appended, Command
from tests.support.event_stores import BY_ANNA
from tests.support.held_commits import PATIENCE_SECONDS, HeldCommits, waiting
from tests.support.terminal import wait_until

FACT = EncodedFact(name="fact", version=1, payload=b"{}")


def a_batch(stream: str, *, facts: int = 1, command_id: str = "") -> Batch:
    command = Command(command_id=command_id, fingerprint="") if command_id else None
    return Batch(stream=stream, facts=[FACT] * facts, expected_version=0, provenance=BY_ANNA, command=command)


class Log:
    """What was appended: the database of these tests. Several at once meet `fault`, and may be refused."""

    def __init__(self) -> None:
        self.streams: list[str] = []
        self.fault: Callable[[], None] = lambda: None
        self.refuses_groups = False
        self.length = 0

    def __call__(self, batches: Sequence[Batch]) -> Sequence[Appended] | None:
        if len(batches) > 1:
            self.fault()
            if self.refuses_groups:
                return None
        self.streams += [batch.stream for batch in batches]
        self.length += sum(len(batch.facts) for batch in batches)
        return answers_up_to(self.length, batches)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def commits(log: Log) -> GroupCommit:
    return GroupCommit(log)


@pytest.fixture
def held(commits: GroupCommit) -> Iterator[HeldCommits]:
    with HeldCommits(commits) as held:
        yield held


def start_all(held: HeldCommits, commits: GroupCommit, *batches: Batch) -> "list[Callable[[], Appended | None]]":
    """Begin to append `batches`, of which the first is held at its commit; return what gives their answers."""
    return [held.start(commits.append, batch) for batch in batches]


def test_whoever_comes_alone_goes_alone(log: Log) -> None:
    commits = GroupCommit(log)

    assert [commits.append(a_batch(stream, facts=2)) for stream in "ab"] == [
        Appended(stream="a", version=2, position=2),
        Appended(stream="b", version=2, position=4),
    ]


def test_all_who_come_during_a_commit_go_together_in_the_next_one(held: HeldCommits, commits: GroupCommit) -> None:
    answers = start_all(held, commits, a_batch("a"), a_batch("b", facts=3), a_batch("c"), a_batch("d", facts=2))
    held.let_go()

    assert [answer() for answer in answers] == [
        Appended(stream="a", version=1, position=1),
        Appended(stream="b", version=3, position=4),
        Appended(stream="c", version=1, position=5),
        Appended(stream="d", version=2, position=7),
    ]
    assert held.groups == [["a"], ["b", "c", "d"]]


def test_two_of_one_stream_never_go_together(held: HeldCommits, commits: GroupCommit) -> None:
    answers = start_all(held, commits, a_batch("a"), a_batch("b"), a_batch("b"), a_batch("c"))
    held.let_go()

    assert all(answer() for answer in answers)
    assert held.groups == [["a"], ["b", "c"], ["b"]]


def test_two_of_one_command_never_go_together(held: HeldCommits, commits: GroupCommit) -> None:
    answers = start_all(
        held, commits, a_batch("a"), a_batch("b", command_id="one"), a_batch("c", command_id="one"), a_batch("d")
    )
    held.let_go()

    assert all(answer() for answer in answers)
    assert held.groups == [["a"], ["b", "d"], ["c"]]


def test_a_stream_named_like_a_command_is_not_kept_back(held: HeldCommits, commits: GroupCommit) -> None:
    answers = start_all(held, commits, a_batch("a"), a_batch("b", command_id="c"), a_batch("c"))
    held.let_go()

    assert all(answer() for answer in answers)
    assert held.groups == [["a"], ["b", "c"]]


def test_nobody_waits_for_the_appends_of_too_many_facts(held: HeldCommits, commits: GroupCommit) -> None:
    most = MOST_FACTS - 1
    answers = start_all(held, commits, a_batch("a"), a_batch("b", facts=most), a_batch("c", facts=2), a_batch("d"))
    held.let_go()

    assert all(answer() for answer in answers)
    assert held.groups == [["a"], ["b", "d"], ["c"]]


def test_one_append_may_have_more_facts_than_several_together(log: Log) -> None:
    appended = GroupCommit(log).append(a_batch("a", facts=3 * MOST_FACTS))
    assert appended
    assert appended.position == 3 * MOST_FACTS


def test_where_a_group_is_refused_each_is_told_that_nothing_was_appended(
    held: HeldCommits, commits: GroupCommit, log: Log
) -> None:
    log.refuses_groups = True
    answers = start_all(held, commits, a_batch("a"), a_batch("b"), a_batch("c"))
    held.let_go()

    first, *others = [answer() for answer in answers]
    assert first
    assert others == [None, None]
    assert log.streams == ["a"]


@pytest.mark.parametrize("error", [DatabaseUnavailable("gone"), SchemaMissing("no tables")])
def test_an_error_of_the_database_is_told_to_everybody_it_struck(
    held: HeldCommits, commits: GroupCommit, log: Log, error: Exception
) -> None:
    log.fault = _raises(error)
    answers = start_all(held, commits, a_batch("a"), a_batch("b"), a_batch("c"))
    held.let_go()

    assert answers[0]()
    for answer in answers[1:]:
        with pytest.raises(type(error), match=re.escape(str(error))):
            answer()
    assert commits.append(a_batch("next"))


def _raises(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_what_stops_the_thread_that_commits_leaves_the_others_with_a_question(
    held: HeldCommits, commits: GroupCommit, log: Log, error: BaseException
) -> None:
    """It is raised as it is where it happened, once; the others cannot know whether theirs was committed."""
    log.fault = _raises(error)
    answers = start_all(held, commits, a_batch("a"), a_batch("b"), a_batch("c"), a_batch("d"))
    held.let_go()

    assert answers[0]()
    ends = list[BaseException]()
    for answer in answers[1:]:
        with pytest.raises((type(error), DatabaseUnavailable)) as end:
            answer()
        ends.append(end.value)
    assert sorted(type(end).__name__ for end in ends) == sorted(
        [type(error).__name__, "DatabaseUnavailable", "DatabaseUnavailable"]
    )
    assert commits.append(a_batch("next"))


class Interrupted(Exception):
    """What the tests' signal raises, wherever the main thread is."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Interrupted

    previous = signal.signal(signal.SIGUSR1, handle)
    yield lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, previous)


def test_an_append_whose_thread_was_interrupted_while_it_waited_never_happens(
    held: HeldCommits, commits: GroupCommit, log: Log, interrupt: Callable[[], None]
) -> None:
    (first,) = start_all(held, commits, a_batch("a"))

    def interrupt_once_it_waits() -> None:
        wait_until("the main thread waits", lambda: waiting(commits))
        interrupt()

    with ThreadPoolExecutor(1) as pool:
        interrupting = pool.submit(interrupt_once_it_waits)
        with pytest.raises(Interrupted):
            commits.append(a_batch("interrupted"))
        interrupting.result(PATIENCE_SECONDS)
    held.let_go()

    assert first()
    assert commits.append(a_batch("next"))
    assert log.streams == ["a", "next"]


def test_an_append_whose_thread_was_interrupted_on_its_way_is_committed_with_the_others(
    log: Log, interrupt: Callable[[], None]
) -> None:
    both_have_come, answered = threading.Event(), threading.Event()

    def append_all(batches: Sequence[Batch]) -> Sequence[Appended] | None:
        if len(batches) == 1 and batches[0].stream == "a":
            both_have_come.wait(PATIENCE_SECONDS)
        if len(batches) > 1:
            interrupt()
            answered.wait(PATIENCE_SECONDS)
        return log(batches)

    commits = GroupCommit(append_all)

    def let_go_when_both_wait() -> None:
        wait_until("both wait", lambda: waiting(commits) == 2)
        both_have_come.set()

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(commits.append, a_batch("a"))
        wait_until("a commits", lambda: any(queue._group for queue in commits._queues.values()))
        # It waits before the main thread does, and so is the next one to commit.
        other = pool.submit(commits.append, a_batch("other"))
        wait_until("the other waits", lambda: waiting(commits) == 1)
        pool.submit(let_go_when_both_wait)
        with pytest.raises(Interrupted):
            commits.append(a_batch("interrupted"))
        answered.set()

        assert first.result(PATIENCE_SECONDS)
        assert other.result(PATIENCE_SECONDS)
    assert sorted(log.streams) == ["a", "interrupted", "other"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a thing of Unix")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_wait_for_a_thread_that_it_has_not_got(held: HeldCommits, commits: GroupCommit) -> None:
    (first,) = start_all(held, commits, a_batch("a"))
    child = os.fork()
    if not child:
        signal.alarm(PATIENCE_SECONDS)
        os._exit(0 if commits.append(a_batch("child")) else 1)
    assert os.waitpid(child, 0)[1] == 0
    held.let_go()
    assert first()


def test_of_many_threads_and_many_failures_every_append_happens_once_or_is_told(log: Log) -> None:
    random = Random(7)  # noqa: S311 - a test
    appending = threading.Lock()

    def append_all(batches: Sequence[Batch]) -> Sequence[Appended] | None:
        assert appending.acquire(blocking=False), "two commits at once"
        try:
            if len(batches) > 1 and random.random() < 0.3:
                return None
            if random.random() < 0.1:
                raise DatabaseUnavailable("gone")
            return log(batches)
        finally:
            appending.release()

    commits = GroupCommit(append_all)

    def write(writer: int) -> list[str]:
        done = list[str]()
        for number in range(200):
            stream = f"{writer}-{number}"
            try:
                answer = commits.append(a_batch(stream))
            except DatabaseUnavailable:
                continue
            if answer:
                assert answer.stream == stream
                done.append(stream)
        return done

    with ThreadPoolExecutor(16) as pool:
        done = [stream for streams in pool.map(write, range(16)) for stream in streams]
    assert sorted(done) == sorted(log.streams)
    assert log.length == len(done)
