"""Which settings each process of UserSplit reads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from entrypoints.settings import (
    AgentSettings,
    BiSinkSettings,
    CodeDeployedSettings,
    DatabaseSettings,
    LaidOutSettings,
    MigrateSettings,
    NotifierSettings,
    RegistrySettings,
    RelaySettings,
    ServeSettings,
    Settings,
    TerminalSettings,
)

SETTINGS_OF: Final[Mapping[str, type[Settings]]] = MappingProxyType(
    {
        "migrate": MigrateSettings,
        "projector": DatabaseSettings,
        "preparer": TerminalSettings,
        "relay": RelaySettings,
        "agent": AgentSettings,
        "laid-out": LaidOutSettings,
        "bi-sink": BiSinkSettings,
        "dimensions": BiSinkSettings,
        "code-deployed": CodeDeployedSettings,
        "override-expiry": DatabaseSettings,
        "notifier": NotifierSettings,
        "serve": ServeSettings,
        "registry": RegistrySettings,
    }
)
"""What each process reads; docker-compose.yml is held against it."""
