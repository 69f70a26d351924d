"""`preparer` as a process of its own, until `stop` is set."""

from threading import Event

from entrypoints.databases import open_users
from entrypoints.metered_backbone import metered_backbone
from entrypoints.metrics import Metrics
from entrypoints.settings import TerminalSettings


def run_preparer(settings: TerminalSettings, stop: Event, metrics: Metrics) -> None:
    """Prepare the settings groups that wait, and count the user groups that do."""
    with metered_backbone(settings, metrics, users=open_users(settings)) as backbone:
        backbone.prepare(stop)
