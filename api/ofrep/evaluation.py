"""All tests and user groups as a few compiled functions, each of which picks one piece of JSON for each.

A function gives numbers of pieces rather than the pieces, because numbers are what an ETag can be made of in no time:
the same numbers from the same configs are the same answer, in every process.

What time changes is settled when the functions are made: between two starts or ends of tests nothing depends on the
clock. An evaluation knows for which stretch of time it is right (`from_ns`, `until_ns`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from api.ofrep.fragments import fragment, group_fragment, is_listed
from usersplit import SplitTestConfig
from usersplit._compiled_check import TEST_USER
from usersplit._user_group_config import UserGroupConfig
from usersplit.conditions._compile import SHARED
from usersplit.conditions._compile_fused import FusedExpressions
from usersplit.conditions._source import Constants, compiled

FLAGS_PER_PART: Final = 64
"""So many share one function, which reads each attribute once; few enough that making it holds nothing up."""

_ALWAYS: Final = 2**63 - 1

_Pick: TypeAlias = Callable[[Mapping[str, object], Mapping[str, object], int], tuple[int, ...]]
"""From a profile, a visit and a split group to the number of a piece for each test."""


Config: TypeAlias = SplitTestConfig | UserGroupConfig
_Flag: TypeAlias = tuple[Config, bool]
"""A test or a user group, and whether it runs by its dates."""


class _Part:
    """Some flags, their pieces, and the function that picks among them."""

    __slots__ = ("identity", "pick", "piece")

    def __init__(self, flags: Sequence[_Flag]) -> None:
        pieces: list[bytes] = []
        constants = Constants()
        fused = FusedExpressions(constants, {"user": "profile", "environment": "visit"})
        picks = [_expression(flag, pieces, fused, constants) for flag in flags]
        self.identity: Final = flags  # keeps the configs, so that no other object can get the same identity
        self.piece: Final = pieces.__getitem__
        self.pick: Final[_Pick] = compiled(
            "profile, visit, group", [*fused.reading(), f"return ({', '.join(picks)},)"], constants, SHARED
        )


class Evaluation:
    """What every test and user group answers, for one set of configs and one stretch of time.

    Args:
        configs: all of them; those that servers are to forget are left out. Of a key that both have, the test counts.
        now_ns: a moment of the stretch, Unix time in nanoseconds.
        earlier: one that was made before, whose unchanged parts are used again.

    Attributes:
        from_ns: the first moment for which it is right.
        until_ns: the first moment for which it is not.
        configs: the tests and user groups, by key.
    """

    def __init__(self, configs: Sequence[Config], now_ns: int, earlier: "Evaluation | None" = None) -> None:
        self.from_ns, self.until_ns = _stretch(configs, now_ns)
        # Tests come last, so that of two with the same key theirs is kept.
        listed = sorted(filter(is_listed, configs), key=lambda each: isinstance(each, SplitTestConfig))
        by_key = {config.key: config for config in listed}
        self.configs: Final[dict[str, Config]] = {key: by_key[key] for key in sorted(by_key)}
        flags = [(config, _is_on(config, now_ns)) for config in self.configs.values()]
        known = {_identity(part.identity): part for part in earlier.parts} if earlier else {}
        chunks = [flags[start : start + FLAGS_PER_PART] for start in range(0, len(flags), FLAGS_PER_PART)]
        self.parts: Final[list[_Part]] = [known.get(_identity(chunk)) or _Part(chunk) for chunk in chunks]
        self._flags: Final = {flag[0].key: flag for flag in flags}
        self._singles: dict[str, _Part] = {}

    def answers(
        self, profile: Mapping[str, object], visit: Mapping[str, object], group: int
    ) -> tuple[int, list[bytes]]:
        """Return a number that stands for the answers, and the answers, of a unit with a split group.

        May raise what the mappings raise.
        """
        if len(self.parts) == 1:
            (part,) = self.parts
            picked = part.pick(profile, visit, group)
            return hash(picked), list(map(part.piece, picked))
        numbers: list[int] = []
        found: list[bytes] = []
        for part in self.parts:
            picked = part.pick(profile, visit, group)
            numbers.append(hash(picked))
            found += map(part.piece, picked)
        return hash(tuple(numbers)), found

    def answer(self, key: str, profile: Mapping[str, object], visit: Mapping[str, object], group: int) -> bytes | None:
        """Return the answer of one test or user group, None if there is none of this key."""
        part = self._singles.get(key)
        if part is None:
            flag = self._flags.get(key)
            if flag is None:
                return None
            part = self._singles[key] = _Part([flag])
        return part.piece(part.pick(profile, visit, group)[0])


def _identity(flags: Sequence[_Flag]) -> tuple[Any, ...]:
    return tuple((id(config), is_on) for config, is_on in flags)


def _is_on(config: Config, now_ns: int) -> bool:
    if isinstance(config, UserGroupConfig):
        return True
    return config.status != "running" or config.starts_at_ns <= now_ns < config.ends_at_ns


def _stretch(configs: Sequence[Config], now_ns: int) -> tuple[int, int]:
    """Return the last start or end until now, and the next one."""
    running = [each for each in configs if isinstance(each, SplitTestConfig) and each.status == "running"]
    moments = [moment for config in running for moment in (config.starts_at_ns, config.ends_at_ns)]
    return (
        max((moment for moment in moments if moment <= now_ns), default=-_ALWAYS),
        min((moment for moment in moments if moment > now_ns), default=_ALWAYS),
    )


def _expression(flag: _Flag, pieces: list[bytes], fused: FusedExpressions, constants: Constants) -> str:
    """Return source for the number of the piece that the flag answers with; its pieces are added to `pieces`."""
    config, is_on = flag
    if isinstance(config, UserGroupConfig):
        return _membership(config, pieces, fused)
    first = len(pieces)
    conditions = [] if config.conditions.is_everybody else [fused.expression(config.conditions.root)]
    if config.status == "finished" and config.result:
        pieces.append(fragment(config, config.result, "result"))
        if config.result_scope == "worldwide" or not conditions:
            return str(first)
        pieces.append(fragment(config, None, "conditions_not_met"))
        return f"{first} if {conditions[0]} else {first + 1}"
    if config.status not in {"running", "in_dev"} or not config.settings_group or not is_on:
        pieces.append(fragment(config, None, _obstacle(config)))
        return str(first)
    pieces.append(fragment(config, None, "conditions_not_met"))
    pieces.extend(fragment(config, name, "in_variant") for name in config.variants[1:])
    if config.status == "in_dev":
        conditions.insert(0, fused.expression(TEST_USER.root))
    table = constants.name(config.variant_by_group)
    if not conditions:
        return f"{first} + {table}[group]"
    return f"{first} + {table}[group] if {' and '.join(conditions)} else {first}"


def _membership(config: UserGroupConfig, pieces: list[bytes], fused: FusedExpressions) -> str:
    first = len(pieces)
    pieces.append(group_fragment(config, is_member=False))
    if config.status != "active":
        return str(first)
    pieces.append(group_fragment(config, is_member=True))
    if config.conditions.is_everybody:
        return str(first + 1)
    return f"{first + 1} if {fused.expression(config.conditions.root)} else {first}"


def _obstacle(config: SplitTestConfig) -> Any:
    if config.status in {"paused", "rejected"}:
        return config.status
    return "not_prepared" if not config.settings_group else "not_started"
