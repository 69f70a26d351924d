"""UserSplit: which variant of a split test a visitor gets, and the hit that says so.

    import usersplit

    with usersplit.connect(
        configs="/var/lib/usersplit/configs",
        bootstrap_servers="kafka:9092",
        app="coconut-store",
        environment_name="production",
    ) as client:
        user = usersplit.User(id=42, split_group=1234, attributes={"country_id": 50})
        if client.get_active_variant("green_button", user) == "red":
            ...

Conditions have a module of their own, `usersplit.conditions`; the bytes of hits are in `usersplit.hits`, and what
servers need to flush hits at the end of their workers in `usersplit.hooks`.
"""

from usersplit._additional_conditions import AdditionalConditions
from usersplit._checker import Checker
from usersplit._client import UserSplit, connect
from usersplit._config import SplitTestConfig, Status
from usersplit._config_problems import ConfigProblem
from usersplit._decision import Answer, GroupAnswer, Reason
from usersplit._directory_configs import DirectoryConfigs
from usersplit._errors import (
    ConfigFromTheFuture,
    InexactPercent,
    InvalidSetting,
    InvalidSplitGroup,
    MalformedConfig,
    MiskeyedConfig,
    UnreadableConfig,
    UserSplitError,
    __version__,
)
from usersplit._hit_accounting import DropReason, HitStats
from usersplit._hit_logger import HitLogger
from usersplit._hit_transport import HitTransport, MemoryHitTransport, Refusal
from usersplit._http_configs import HttpConfigs
from usersplit._kafka_transport import HITS_TOPIC, KafkaHitTransport
from usersplit._memory_configs import Configs, MemoryConfigs
from usersplit._speedups import speedups_version
from usersplit._split_groups import (
    SPLIT_GROUPS,
    check_split_group,
    draw_split_group,
    is_split_group,
    percent_of_split_groups,
    split_group_from_cookie,
    split_group_to_cookie,
    split_groups_of_percent,
)
from usersplit._units import Environment, Guest, Unit, UnitType, User

__all__ = [
    "HITS_TOPIC",
    "SPLIT_GROUPS",
    "AdditionalConditions",
    "Answer",
    "Checker",
    "ConfigFromTheFuture",
    "ConfigProblem",
    "Configs",
    "DirectoryConfigs",
    "DropReason",
    "Environment",
    "GroupAnswer",
    "Guest",
    "HitLogger",
    "HitStats",
    "HitTransport",
    "HttpConfigs",
    "InexactPercent",
    "InvalidSetting",
    "InvalidSplitGroup",
    "KafkaHitTransport",
    "MalformedConfig",
    "MemoryConfigs",
    "MemoryHitTransport",
    "MiskeyedConfig",
    "Reason",
    "Refusal",
    "SplitTestConfig",
    "Status",
    "Unit",
    "UnitType",
    "UnreadableConfig",
    "User",
    "UserSplit",
    "UserSplitError",
    "__version__",
    "check_split_group",
    "connect",
    "draw_split_group",
    "is_split_group",
    "percent_of_split_groups",
    "speedups_version",
    "split_group_from_cookie",
    "split_group_to_cookie",
    "split_groups_of_percent",
]
