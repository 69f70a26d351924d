"""Replaying a real A/B test from a CSV: each row a unit whose variant the data forces, through Kafka into BI.

The test becomes a real one here, with a settings group that its hits carry, so that BI explains them like any other's.
A hit's id is made from the test's key, the file's digest and the row's place, so that a replay that was interrupted can
simply be run again: BI counts each row once. The digest is in the test's description too, and another file is refused.
"""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from commands.split_tests import Request
from domain.keys import MAX_NAME_LENGTH, printable
from domain.people import Actor
from domain.settings import parse_proposal
from domain.settings_errors import WrongVariantName
from entrypoints.backbone import Backbone
from entrypoints.clock import now
from entrypoints.recorded_test import RecordedTest, ReplayError, UnusableCsv
from projections import current_settings, test_list
from usersplit import HitLogger, KafkaHitTransport
from warehouse.hits import HitWarehouse

_NAMESPACE: Final = uuid.UUID("5f1c2a52-6f0e-4d4b-9a8e-2f6a3f1f7c10")
_ENVIRONMENT: Final = "replay"


class KeyInUse(ReplayError):
    """A test of that key exists, and it is not one that this file could be replayed into."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"the test {key} {why}; give another --key")


class CountsDiffer(ReplayError):
    """BI does not hold what the file says."""


class ReplayTookTooLong(ReplayError):
    """Hits do not arrive in BI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """One replay into a running UserSplit.

    Attributes:
        backbone: where the test is created.
        warehouse: where the hits are counted.
        bootstrap_servers: where they are sent; `kafka_options` are librdkafka's further settings.
        check: called often; raises if whatever drains the hits has died.
        window: how many hits may be on their way at once; the embedded broker forgets what it has no room for.
        patience_seconds: how long the count in BI may stand still.
    """

    backbone: Backbone
    warehouse: HitWarehouse
    bootstrap_servers: str
    kafka_options: Mapping[str, str]
    check: Callable[[], None]
    window: int = 20_000
    patience_seconds: float = 60.0

    def prepare(self, recorded: RecordedTest, *, key: str, control: str | None, actor: Actor) -> int:
        """Create the test with the variants of the file, and start it; return its settings group.

        Raises:
            KeyInUse: there is such a test, and it is another one, or of another file.
            UnusableCsv: see `RecordedTest`; or a variant has a name that no test could have. Nothing was created.
        """
        variants = sorted(recorded.units_per_variant())
        if control is not None and control not in variants:
            raise UnusableCsv(f"{recorded.path} has no variant {control}; it has: {', '.join(variants)}")
        with self.backbone.reading() as connection:
            existing = test_list.get(connection, key)
        if existing is None:
            self._create(recorded, variants, key=key, control=control, actor=actor)
        with self.backbone.reading() as connection:
            listed, settings = test_list.get(connection, key), current_settings.get(connection, key)
        if listed is None or settings is None or listed.status != "running":
            raise KeyInUse(key, "exists and is not Running")
        if recorded.origin() not in listed.description:
            raise KeyInUse(key, "exists and was not made of this file and these columns")
        if sorted(variant.name for variant in settings.variants) != variants:
            raise KeyInUse(key, "exists with other variants than the file has")
        return settings.settings_group

    def feed(
        self, recorded: RecordedTest, *, key: str, settings_group: int, progress: Callable[[int, int], None]
    ) -> Counter[str]:
        """Send every row as a hit; return what BI holds per variant once all have arrived.

        Args:
            recorded: the file.
            key: the test's key.
            settings_group: the settings that `prepare` returned.
            progress: told how many were sent and how many are in BI.

        Raises:
            ReplayTookTooLong: the count in BI stands still.
            CountsDiffer: the SDK had to drop hits.
        """
        transport = KafkaHitTransport(self.bootstrap_servers, **self.kafka_options)
        sent, digest = 0, recorded.digest()
        with HitLogger(transport, app="replay-csv", environment_name=_ENVIRONMENT) as hits:
            for sent, row in enumerate(recorded.rows(), start=1):
                hits.log(
                    test_key=key,
                    variant=row[recorded.variant_column],
                    unit_type="user",
                    unit_id=row[recorded.unit_column],
                    settings_group=settings_group,
                    forced=True,
                    attributes=self._attributes(recorded, row),
                    hit_id=str(uuid.uuid5(_NAMESPACE, f"{key}/{digest}/{sent}")),
                )
                if sent % (self.window // 4) == 0:
                    self._wait_for(key, sent - self.window, sent, progress)
            hits.flush(self.patience_seconds)
            stats = hits.stats()
        if stats.delivered != sent:
            raise CountsDiffer(f"of {sent} rows, Kafka acknowledged {stats.delivered}: {dict(stats.dropped)}")
        self._wait_for(key, sent, sent, progress)
        return self.in_bi(key)

    def in_bi(self, key: str) -> Counter[str]:
        """Return the hits per variant of the replay of `key`."""
        rows = self.warehouse.hits_per_variant(key)
        return Counter({row.variant: row.hits for row in rows if row.environment == _ENVIRONMENT})

    def _create(
        self, recorded: RecordedTest, variants: list[str], *, key: str, control: str | None, actor: Actor
    ) -> None:
        commands, request = self.backbone.split_tests, Request(actor=actor)
        settings = self._settings(variants, control)
        try:
            # Before anything is appended: a test without settings would have the key, and nobody could replay into it.
            parse_proposal(settings, self.backbone.catalog)
        except WrongVariantName as error:
            raise UnusableCsv(
                f"{error}: rename it in the column {recorded.variant_column} of {recorded.path}"
            ) from error
        name = f"Replay of {printable(recorded.path.name)}"[:MAX_NAME_LENGTH]
        description = f"Each variant is forced by the data. {recorded.origin()}."
        commands.create(request, key=key, name=name, description=description)
        commands.propose_settings(request, key, settings)
        self.backbone.preparer.prepare(key)
        commands.publish(request, key)
        commands.start(request, key)

    @staticmethod
    def _settings(variants: list[str], control: str | None) -> dict[str, Any]:
        today = now().replace(hour=0, minute=0, second=0, microsecond=0)
        # Equal parts, of which each is an exact percent; the data decides who is in which variant anyway.
        groups = 2400 // len(variants) // 3 * 3
        return {
            "starts_at": (today - timedelta(days=1)).isoformat(),
            "ends_at": (today + timedelta(days=30)).isoformat(),
            "conditions": [],
            "variants": [
                {"name": variant, "percent": str(groups / 24), "control": variant == control} for variant in variants
            ],
        }

    @staticmethod
    def _attributes(recorded: RecordedTest, row: Mapping[str, str]) -> str:
        kept = {
            name: value for name, value in row.items() if name not in {recorded.unit_column, recorded.variant_column}
        }
        return json.dumps(kept, separators=(",", ":"))

    def _wait_for(self, key: str, wanted: int, sent: int, progress: Callable[[int, int], None]) -> None:
        arrived, moved_at = -1, time.monotonic()
        while True:
            self.check()
            before, arrived = arrived, self.in_bi(key).total()
            progress(sent, arrived)
            if arrived >= wanted:
                return
            if arrived != before:
                moved_at = time.monotonic()
            elif time.monotonic() - moved_at > self.patience_seconds:
                raise ReplayTookTooLong(
                    f"{arrived} of {wanted} hits are in BI, and no more came for {self.patience_seconds:.0f} s; "
                    "is a bi-sink running? (--with-sink runs one here)"
                )
            time.sleep(0.1)
