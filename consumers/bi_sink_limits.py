"""How much the BI sink takes in hand, and how much poison it puts up with before it stops."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


class TooManyDeadLetters(Exception):
    """So many messages are poison that it is no accident of single records: the sink stops before them."""

    def __init__(self, found: str, last_reason: str) -> None:
        super().__init__(
            f"the BI sink stopped, nothing of this batch was stored or moved: {found}; the last reason was: "
            f"{last_reason} Look at the producers and at the sink's release. To make it dead letters, raise "
            "USERSPLIT_DEAD_LETTERS_IN_A_ROW or USERSPLIT_DEAD_LETTERS_IN_WINDOW for one start."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """When a batch is stored, and how much may be in hand.

    A batch is closed at so many messages, or bytes, or at that age, whichever comes first; while another one waits to
    be stored, it goes on growing. Bytes are those that a message takes in this process, its objects included.

    Attributes:
        max_messages: of a batch. DuckDB writes whole row groups of 122,880 rows straight into its file, smaller
            batches into its log first and then into the file: a third dearer (measured). Larger ones gain no more.
        max_bytes: of a batch.
        budget_bytes: of everything in hand: gathered, being decoded, waiting to be stored. Reading pauses beyond it.
            What one poll brings comes on top, and what librdkafka has fetched (32 MiB at most).
        freshness_seconds: the age at which a batch is closed.
        first_retry_seconds: how long to wait after the warehouse was found down; doubled every time.
        last_retry_seconds: how long at most.
        flush_seconds: how long to go on storing what is in hand when partitions are taken away, or at the end.
    """

    max_messages: int = 131_072
    max_bytes: int = 64 * 1024 * 1024
    budget_bytes: int = 192 * 1024 * 1024
    freshness_seconds: float = 0.5
    first_retry_seconds: float = 0.2
    last_retry_seconds: float = 15.0
    flush_seconds: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonLimits:
    """How many dead letters stop the sink: `max_run` one after the other, or `max_in_window` of the last `window`."""

    max_run: int = 500
    window: int = 100_000
    max_in_window: int = 1_000


class PoisonGuard:
    """Counts poison against its limits over all batches since the sink started."""

    def __init__(self, limits: PoisonLimits) -> None:
        self._limits = limits
        self._seen = 0
        self._run = 0
        self._places: deque[int] = deque()

    def check(self, *, messages: int, poison: Sequence[tuple[int, str]]) -> None:
        """Count a batch of so many messages, of which those at the given indexes are poison, for the given reasons.

        Raises:
            TooManyDeadLetters: a limit is passed.
        """
        last = -1
        for index, reason in poison:
            self._run = self._run + 1 if index == last + 1 else 1
            last = index
            self._places.append(self._seen + index)
            while self._places[0] <= self._seen + index - self._limits.window:
                self._places.popleft()
            if self._run > self._limits.max_run:
                raise TooManyDeadLetters(f"{self._run} messages in a row are no valid hits", reason)
            if len(self._places) > self._limits.max_in_window:
                found = f"{len(self._places)} of the last {self._limits.window} messages are no valid hits"
                raise TooManyDeadLetters(found, reason)
        if last != messages - 1:
            self._run = 0
        self._seen += messages
