"""The warehouse as the pages need it: opened at the first question, so that pages need not wait for it."""

from collections.abc import Mapping, Sequence
from threading import Lock

from entrypoints.databases import BiWarehouse, open_warehouse, traffic_of
from warehouse.traffic import HitTraffic, Span, UnitsShown, VariantTraffic


class ChartsWarehouse:
    """A `warehouse.traffic.HitTraffic` at `url`, and how far it has got; while it is away, each question tries anew."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opening = Lock()
        self._hits: BiWarehouse | None = None

    def over_time(self, key: str, span: Span) -> list[VariantTraffic]:
        """See `HitTraffic.over_time`."""
        return self._traffic().over_time(key, span)

    def recent(self, span: Span) -> Mapping[str, Sequence[int]]:
        """See `HitTraffic.recent`."""
        return self._traffic().recent(span)

    def units(self, key: str, settings_group: int, span: Span) -> UnitsShown:
        """See `HitTraffic.units`."""
        return self._traffic().units(key, settings_group, span)

    def offsets(self, topic: str) -> Mapping[int, int]:
        """Return where the readers of `topic` go on that store into it, by partition.

        Raises:
            warehouse.errors.WarehouseError: it does not answer.
        """
        return self._open().offsets(topic)

    def close(self) -> None:
        """Let go of it."""
        if self._hits is not None:
            self._hits.close()

    def _traffic(self) -> HitTraffic:
        return traffic_of(self._open())

    def _open(self) -> BiWarehouse:
        with self._opening:
            if self._hits is None:
                self._hits = open_warehouse(self._url)
            return self._hits
