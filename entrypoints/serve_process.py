"""`serve` as a process of its own, until `stop` is set."""

from threading import Event

from entrypoints.charts_warehouse import ChartsWarehouse
from entrypoints.databases import open_users
from entrypoints.kafka import open_groups
from entrypoints.metered_backbone import metered_backbone
from entrypoints.metrics import Metrics, of_projections
from entrypoints.serve import serve
from entrypoints.settings import ServeSettings


def run_serve(settings: ServeSettings, stop: Event, metrics: Metrics) -> None:
    """Serve the HTTP API and the managers' pages."""
    with metered_backbone(settings, metrics, users=open_users(settings)) as backbone:
        metrics.ask_database(backbone.engine, of_projections(backbone.store))
        warehouse = ChartsWarehouse(settings.warehouse_url.get_secret_value()) if settings.warehouse_url else None
        try:
            serve(
                backbone,
                settings,
                stop,
                metrics,
                traffic=warehouse,
                groups=open_groups(settings),
                stored=warehouse.offsets if warehouse is not None else None,
                is_alone=True,
            )
        finally:
            if warehouse is not None:
                warehouse.close()
