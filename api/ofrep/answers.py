"""Evaluations of one request: the quick way over compiled functions, the long way where QA or the client narrows it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from api.live_configs import LiveConfig, LiveConfigs
from api.ofrep.evaluation import Config, Evaluation
from api.ofrep.fragments import error_of, fragment, group_fragment, with_split_group
from api.ofrep.requests import Asked, OfrepError, SplitGroups, group_of, read_asked
from usersplit import Checker, Environment, Guest, User
from usersplit._user_group_config import UserGroupConfig

_NARROWING: Final = frozenset({"supported_tests", "environment_name", "unit_type", "device_id"})
"""Fields of a context that only the long way understands."""

_MASK: Final = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """What answers are made from, for one set of configs and one stretch of time.

    Attributes:
        digest: stands for both; the beginning of every ETag.
        overridden: the units that QA decided something for, such as `user:42`.
    """

    evaluation: Evaluation
    digest: bytes
    overridden: frozenset[str]


class Answers:
    """Answers contexts from the live configs.

    Args:
        live: the configs.
        environment_name: of which environment QA overrides count where a context does not say it.
        split_groups: where a unit's split group comes from.
        now_ns: the clock, Unix time in nanoseconds.
    """

    def __init__(
        self, live: LiveConfigs, *, environment_name: str, split_groups: SplitGroups, now_ns: Callable[[], int]
    ) -> None:
        self._live = live
        self._environment_name = environment_name
        self._split_groups: SplitGroups = split_groups
        self._now_ns = now_ns
        self._ready = self._made(None)

    def renew(self) -> None:
        """Take over new configs. In the thread that noticed them: making functions of tests takes a while."""
        self._ready = self._made(self._ready)

    def digest(self) -> str:
        """Return what stands for the configs and the time that answers are made from."""
        return self._current().digest.decode()

    def bulk(self, context: Mapping[str, Any]) -> tuple[bytes, bytes]:
        """Return the ETag (without quotes) and the answers of all tests, but for the end of the document.

        Raises:
            OfrepError: the context cannot be read.
        """
        ready = self._current()
        group = group_of(context, self._split_groups)
        if group and _is_usual(context, ready):
            number, found = ready.evaluation.answers(context, context, group)
            etag = b"%s-%x" % (ready.digest, hash((number, group)) & _MASK)
            return etag, b'{"flags":[%s],"metadata":{"split_group":%d}' % (b",".join(found), group)
        return self._bulk_the_long_way(read_asked(context, self._split_groups))

    def single(self, key: str, context: Mapping[str, Any]) -> bytes:
        """Return the answer of one test.

        Raises:
            OfrepError: the context cannot be read, there is no such test, or it cannot be evaluated.
        """
        ready = self._current()
        group = group_of(context, self._split_groups)
        if group and _is_usual(context, ready):
            found = ready.evaluation.answer(key, context, context, group)
            if found is None:
                raise _not_found(key)
            return with_split_group(found, group)
        asked = read_asked(context, self._split_groups)
        config = ready.evaluation.configs.get(key)
        if config is None or (asked.supported is not None and key not in asked.supported):
            raise _not_found(key)
        checker, unit, visit = self._checker(asked), _unit(asked), _visit(asked, [key])
        if isinstance(config, UserGroupConfig):
            return with_split_group(_membership_of(config, checker, unit, visit), asked.group)
        answer = checker.explain(key, unit, visit)
        if (error := error_of(answer.reason)) is not None:
            raise OfrepError(400, *error)
        return with_split_group(fragment(config, answer.variant, answer.reason), asked.group)

    def _bulk_the_long_way(self, asked: Asked) -> tuple[bytes, bytes]:
        configs = self._ready.evaluation.configs
        keys = [key for key in configs if asked.supported is None or key in asked.supported]
        checker, unit, visit = self._checker(asked), _unit(asked), _visit(asked, keys)
        found = [_fragment_of(configs[key], checker, unit, visit) for key in keys]
        body = b'{"flags":[%s],"metadata":{"split_group":%d}' % (b",".join(found), asked.group)
        return hashlib.blake2b(body, digest_size=12).hexdigest().encode(), body

    def _current(self) -> _Ready:
        ready, now_ns = self._ready, self._now_ns()
        if not ready.evaluation.from_ns <= now_ns < ready.evaluation.until_ns:
            ready = self._ready = self._made(ready)
        return ready

    def _made(self, earlier: _Ready | None) -> _Ready:
        live, now_ns = self._live.current, self._now_ns()
        evaluation = Evaluation([*live.tests, *live.user_groups], now_ns, earlier.evaluation if earlier else None)
        # A start or an end of a test changes answers as a new config does.
        stretch = b"%d %s" % (evaluation.from_ns, live.digest.encode())
        return _Ready(
            evaluation=evaluation,
            digest=hashlib.blake2b(stretch, digest_size=9).hexdigest().encode(),
            overridden=_overridden(live, self._environment_name),
        )

    def _checker(self, asked: Asked) -> Checker:
        name = asked.environment_name or self._environment_name
        return Checker(self._live.configs, environment_name=name, now_ns=self._now_ns)


def _is_usual(context: Mapping[str, Any], ready: _Ready) -> bool:
    overridden = ready.overridden
    return _NARROWING.isdisjoint(context) and not (overridden and f"user:{context['targetingKey']}" in overridden)


def _overridden(live: LiveConfig, environment_name: str) -> frozenset[str]:
    """Return the units that QA decided something for, such as `user:42`."""
    document = live.documents.get("~overrides")
    if document is None:
        return frozenset()
    environment = msgspec.json.decode(document.document)["environments"].get(environment_name, {})
    return frozenset(environment.get("forced", ())) | frozenset(environment.get("disabled", ()))


def _unit(asked: Asked) -> User | Guest:
    if asked.unit_type == "user":
        return User(id=asked.unit_id, split_group=asked.group, attributes=asked.profile, device_id=asked.device_id)
    if asked.unit_type == "device":
        return Guest(split_group=asked.group, device_id=asked.unit_id)
    return Guest(split_group=asked.group, id=asked.unit_id, device_id=asked.device_id)


def _visit(asked: Asked, keys: list[str]) -> Environment:
    # A client that names no tests supports all of them.
    return Environment(attributes=asked.visit, supported_tests=frozenset(keys))


def _fragment_of(config: Config, checker: Checker, unit: User | Guest, visit: Environment) -> bytes:
    if isinstance(config, UserGroupConfig):
        return _membership_of(config, checker, unit, visit)
    answer = checker.explain(config.key, unit, visit)
    return fragment(config, answer.variant, answer.reason)


def _membership_of(config: UserGroupConfig, checker: Checker, unit: User | Guest, visit: Environment) -> bytes:
    return group_fragment(config, is_member=checker.explain_group(config.key, unit, visit).is_member)


def _not_found(key: str) -> OfrepError:
    return OfrepError(
        404, "FLAG_NOT_FOUND", f"there is neither a published test nor a user group {key!r:.120}; check its key"
    )
