"""The consumer that keeps BI's dimensions: the lifecycle topic, folded into the tables of `warehouse.dimensions`."""

from logging import getLogger

from consumers.dimension_facts import DimensionFold
from consumers.topic_export import TopicExport
from events.errors import UnknownFact
from events.lifecycle_codec import decode_event
from events.registry import FactRegistry
from events.store import recorded
from streams.messages import Message
from streams.ports import Broker
from streams.topics import LIFECYCLE
from warehouse.dimensions import DimensionRows, DimensionWarehouse

_log = getLogger(__name__)


class DimensionsFollower(TopicExport):
    """Follows the lifecycle topic, to know of each test what it looks like. MalformedEvent ends it."""

    def __init__(
        self, *, broker: Broker, warehouse: DimensionWarehouse, registry: FactRegistry, topic: str = LIFECYCLE
    ) -> None:
        super().__init__(broker=broker, warehouse=warehouse, topic=topic, fold=lambda: _LifecycleFold(registry))


class _LifecycleFold:
    def __init__(self, registry: FactRegistry) -> None:
        self._registry = registry
        self._fold = DimensionFold()

    def take(self) -> DimensionRows:
        return self._fold.take()

    def apply(self, message: Message) -> None:
        event = decode_event(message.value or b"")
        try:
            self._fold.apply(recorded(event, self._registry))
        except UnknownFact as error:
            _log.info("dimensions: a fact of a newer release is not shown in BI: %s", error)
