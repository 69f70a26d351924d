"""Logging hits from a service: an append to a bounded buffer, and nothing that could raise or wait."""

import os
import time
import warnings
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from usersplit._errors import InvalidSetting
from usersplit._exposures import Exposures
from usersplit._forks import watch_forks
from usersplit._hit_accounting import HitAccount, HitStats
from usersplit._hit_attributes import NO_ATTRIBUTES, attributes_fault, attributes_text
from usersplit._hit_buffer import USUAL_LENGTH, HitBuffer
from usersplit._hit_encoding import HitEncoder
from usersplit._hit_record import BufferedHit, HitOrigin
from usersplit._hit_reporting import HitReporter
from usersplit._hit_sender import HitSender
from usersplit._hit_spool import HitSpool
from usersplit._hit_transport import HitTransport
from usersplit._hit_worker import HitWorker
from usersplit._settings import require_at_least, require_positive_seconds
from usersplit._shutdown import EXIT_TIMEOUT_SECONDS, close_at_exit
from usersplit.hits import UnencodableHit

DEFAULT_CAPACITY: Final = 100_000
DEFAULT_CAPACITY_BYTES: Final = 64 * 2**20
DEFAULT_SPOOL_BYTES: Final = 256 * 2**20


class HitLogger:
    """Takes hits from any thread and delivers them in the background.

    At all times `accepted == delivered + dropped + buffered + spooled` holds, see `stats`. After a fork parent and
    child each have their own buffer, connection, spool and counts.

    Args:
        transport: the wire; the logger owns it.
        app: the service, as hits name it.
        environment_name: where the service runs: "production", "devel" … (not how the visitor came: `Environment`).
        host: the server, as hits name it.
        capacity: how many hits wait at most, before new ones are dropped as "buffer_full". Threads that log at the
            very same moment may exceed it by one hit each.
        capacity_bytes: how much memory the waiting hits take at most: 512 bytes each, and the length of those whose
            texts are longer than 256 characters or that have attributes.
        spool_directory: where hits wait that cannot be delivered now; None has no spool. A directory on a disk of this
            server; its processes may share it.
        spool_bytes: how much this process keeps there at most; beyond it the oldest hits are dropped as "spool_full".
        write_ahead: every hit is written to the spool first, and only then sent. A process that is killed loses what
            it logged in its last `interval_seconds`, and nothing else; a hit arrives some tens of milliseconds later.
        remembered_exposures: how many exposures are remembered, so that the same unit is logged once per test, variant
            and settings group; 0 logs all.
        interval_seconds: how long a hit waits at most until the background thread looks for it.
        now_ns: the clock, Unix time in nanoseconds.

    Raises:
        ValueError: `write_ahead` without a `spool_directory`.
    """

    def __init__(  # noqa: PLR0913 - the settings of a service, all by name
        self,
        transport: HitTransport,
        *,
        app: str,
        environment_name: str,
        host: str = "",
        capacity: int = DEFAULT_CAPACITY,
        capacity_bytes: int = DEFAULT_CAPACITY_BYTES,
        spool_directory: str | os.PathLike[str] | None = None,
        spool_bytes: int = DEFAULT_SPOOL_BYTES,
        write_ahead: bool = False,
        remembered_exposures: int = 0,
        interval_seconds: float = 0.05,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if write_ahead and spool_directory is None:
            raise InvalidSetting("write_ahead needs a spool_directory to write to.")
        for name, number in (("capacity", capacity), ("capacity_bytes", capacity_bytes), ("spool_bytes", spool_bytes)):
            require_at_least(name, number, 1)
        require_at_least("remembered_exposures", remembered_exposures, 0)
        require_positive_seconds("interval_seconds", interval_seconds)
        account = HitAccount()
        origin = HitOrigin(app=app, host=host, environment_name=environment_name)
        self._buffer = HitBuffer(capacity=capacity, capacity_bytes=capacity_bytes)
        sender = HitSender(
            buffer=self._buffer,
            account=account,
            transport=transport,
            encoder=HitEncoder(origin),
            spool=None
            if spool_directory is None
            else HitSpool(spool_directory, max_bytes=spool_bytes, lost=account.lose_spooled, recovered=account.recover),
            random_bytes=os.urandom,
            write_ahead=write_ahead,
        )
        self._exposures = Exposures(remembered_exposures) if remembered_exposures else None
        self._worker = HitWorker(
            buffer=self._buffer,
            account=account,
            sender=sender,
            reporter=HitReporter(origin=origin, transport=transport, now_ns=now_ns),
            exposures=self._exposures,
            interval_seconds=interval_seconds,
            monotonic=time.monotonic,
        )
        self._hits = self._buffer.hits
        self._now_ns = now_ns
        watch_forks(self._worker)
        close_at_exit(self._worker)

    def log(  # noqa: PLR0913 - the fields of a hit, all by name
        self,
        *,
        test_key: str,
        variant: str,
        unit_type: str,
        unit_id: object,
        settings_group: int = 0,
        split_group: int = 0,
        platform: object = "",
        country: object = "",
        forced: bool = False,
        attributes: Mapping[str, object] | str | None = None,
        occurred_at_ns: int | None = None,
        hit_id: str = "",
    ) -> bool:
        """Note that a unit was shown a variant; never raises and never blocks.

        Services use `Checker`, which fills all this in. A replay of recorded data gives everything itself.

        Args:
            test_key: see `usersplit.hits.Hit`, as all the others.
            variant: …
            unit_type: "user", "device" or "guest".
            unit_id: the id; its text goes into the hit.
            settings_group: …
            split_group: …
            platform: …
            country: …
            forced: the variant was forced, not drawn.
            attributes: free attributes, or the text of a JSON object. They are made text, or looked through, at once,
                for a mapping may change after the call; so such a hit costs the caller more than others. In a mapping,
                NaN becomes null; a text that is no JSON object costs the hit ("encoding_failed").
            occurred_at_ns: Unix time in nanoseconds; None is now.
            hit_id: an id for a hit that may be logged again, so that readers count it once; "" makes one.

        Returns:
            Whether the hit went into the buffer. What became of it then, `stats` counts.
        """
        # A plain tuple in the order of LoggedHit, whose own constructor costs the caller as much as all the rest.
        hit: BufferedHit = (
            self._now_ns() if occurred_at_ns is None else occurred_at_ns,
            test_key,
            settings_group,
            variant,
            unit_type,
            unit_id,
            split_group,
            platform,
            country,
            forced,
            "",
            hit_id,
            0,
        )
        return self._take(hit, attributes)

    def log_drawn(  # noqa: PLR0913, PLR0917 - by place, for names cost more than what is done with them
        self,
        test_key: str,
        settings_group: int,
        variant: str,
        unit_type: str,
        unit_id: object,
        split_group: int,
        platform: object,
        country: object,
    ) -> bool:
        """As `log`, of a variant that a check has just given by split group: for `Checker`."""
        now = self._now_ns()
        hit: BufferedHit = (
            now, test_key, settings_group, variant, unit_type, unit_id, split_group, platform, country,
            False, "", "", 0,
        )  # fmt: skip
        return self._take(hit, None)

    def _take(self, hit: BufferedHit, attributes: Mapping[str, object] | str | None) -> bool:
        worker = self._worker
        if not worker.running:
            worker.start()
        if worker.closing:
            worker.late.tick()
            return False
        buffer = self._buffer
        hits = self._hits
        if len(hits) >= buffer.limit:
            buffer.full.tick()
            return False
        _, test_key, settings_group, variant, unit_type, unit_id, _, platform, country, forced, _, hit_id, _ = hit
        exposures = self._exposures
        if exposures is not None and not hit_id and not forced:
            try:
                exposure = (unit_type, unit_id, test_key, variant, settings_group)
                if exposures.is_known(exposure):
                    worker.duplicates.tick()
                    return False
                exposures.remember(exposure)
            except Exception:  # noqa: BLE001, S110 - an id that cannot be compared is never a duplicate
                pass
        try:
            if attributes is None and (
                len(test_key)
                + len(variant)
                + len(platform)  # type: ignore[arg-type]  # of another type: the exception below
                + len(country)  # type: ignore[arg-type]
                + (0 if type(unit_id) is int else len(unit_id))  # type: ignore[arg-type]
                <= USUAL_LENGTH
            ):
                hits.append(hit)
                return True
        except Exception:  # noqa: BLE001, S110 - a number as a country, an object as an id
            pass
        return buffer.add_large(_measured(hit, attributes))

    def stats(self) -> HitStats:
        """Return what became of the hits of this process."""
        return self._worker.stats()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Wait until no hit is on its way or in the spool; answer whether that was so within the timeout."""
        return self._worker.flush(timeout_seconds)

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Deliver what can be delivered in time. Idempotent.

        The rest goes to the spool; without one it is counted as dropped ("close_deadline"). At the normal end of a
        process this happens by itself, but not on SIGTERM or `os._exit`: see `usersplit.hooks`.
        """
        self._worker.close(timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        worker: HitWorker | None = getattr(self, "_worker", None)
        if worker is not None and not worker.closing:
            worker.finish(EXIT_TIMEOUT_SECONDS)
            _warn(
                f"unclosed {type(self).__name__}; use it in a with statement or close it", ResourceWarning, source=self
            )


def _measured(hit: BufferedHit, attributes: Mapping[str, object] | str | None) -> BufferedHit:
    """Return the hit with its attributes as text, and how much larger than usual it is. Whatever fails, fails later."""
    try:
        text = _given_text(attributes) if isinstance(attributes, str) else attributes_text(attributes)
        extra_bytes = sum(len(str(value)) for value in (*hit[1:9], text))
    except UnencodableHit as error:
        return (*hit[:10], error, hit[11], 0)
    except Exception:  # noqa: BLE001 - the encoder says which hit it was
        return (*hit[:10], attributes, hit[11], 0)
    return (*hit[:10], text, hit[11], extra_bytes)


def _given_text(attributes: str) -> str:
    if not attributes:
        return NO_ATTRIBUTES
    if fault := attributes_fault(attributes):
        raise UnencodableHit(f"The hit is not valid: {fault}.")
    return attributes
