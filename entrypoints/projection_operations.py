"""What operators look at and do with projections on the pages, over the database of a backbone."""

from collections.abc import Sequence

from entrypoints.backbone import Backbone
from entrypoints.consumer_standings import ConsumerStandings
from events.database import write_transaction
from events.facts import REGISTRY
from projections import models, registry
from projections.overview import GenerationOverview, overview
from projections.progress import ReportProgress
from projections.rebuild import rebuild_many
from web.consumer_standings import ConsumerStanding

_BY_NAME = {projection.name: projection for projection in models.ALL}


class ProjectionOperations:
    """Pause, resume, rebuild; see `web.parts.Operations`. Safe to share between threads."""

    def __init__(self, backbone: Backbone, consumers: ConsumerStandings) -> None:
        self._backbone = backbone
        self._consumers = consumers

    def consumers(self) -> Sequence[ConsumerStanding]:
        """Return where every consumer stands."""
        return self._consumers.read()

    def overview(self) -> Sequence[GenerationOverview]:
        """Return where every projection stands."""
        head = self._backbone.store.head()
        with self._backbone.engine.connect() as connection:
            return overview(connection, models.ALL, head=head)

    def pause(self, name: str) -> None:
        """Keep a projection where it stands.

        Raises:
            projections.errors.NothingToPause: it is not live.
        """
        with write_transaction(self._backbone.engine) as connection:
            registry.pause(connection, name, reason="an operator paused it")

    def resume(self, name: str) -> None:
        """Let a paused projection go on.

        Raises:
            projections.errors.NothingToResume: it is not paused.
        """
        with write_transaction(self._backbone.engine) as connection:
            registry.resume(connection, name)

    def rebuild(self, name: str, progress: ReportProgress) -> None:
        """Build a projection anew beside the live one, and switch once it has caught up.

        Raises:
            projections.errors.ProjectionsError: it failed, and nothing changed for readers.
        """
        rebuild_many(
            engine=self._backbone.engine,
            store=self._backbone.store,
            registry=REGISTRY,
            projections=[_BY_NAME[name]],
            progress=progress,
        )
