"""The question that services ask: which variant of this test does this visitor get?"""

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping
from time import time as now_seconds  # noqa: TID251 - the clock that `now_ns` is by default, in less time
from types import ModuleType
from typing import cast

from usersplit._additional_conditions import AdditionalChecks
from usersplit._answers import answer_of, explained, membership
from usersplit._config import SplitTestConfig
from usersplit._config_set import ConfigSet
from usersplit._decision import PROBLEMS, Answer, GroupAnswer, Reason, problem_of
from usersplit._hit_logger import HitLogger
from usersplit._memory_configs import Configs
from usersplit._problems import Problems, safe_key, safe_text
from usersplit._split_groups import is_split_group
from usersplit._units import Environment, Unit, User, unit_identity
from usersplit._view import NEVER, View


class Checker:
    """Answers checks from configs in memory, and logs the hits.

    No method raises, whatever it is given: a page does not fail because of an experiment. What is wrong becomes a
    reason (`explain` tells it), is counted (`problems`) and logged once per test and reason.

    Args:
        configs: where the tests are described.
        hits: where hits go; None logs none, for tools that only ask.
        environment_name: where the service runs: "production", "devel" … The overrides of QA hold for one environment;
            "" has none.
        additional_conditions: the module with the classes of additional conditions, or its name; None has none. See
            `AdditionalConditions`.
        now_ns: the clock, Unix time in nanoseconds.

    Attributes:
        configs: as given.
        hits: as given.

    Raises:
        ImportError: there is no module of the name given for additional conditions.
    """

    hits: HitLogger | None

    def __init__(
        self,
        configs: Configs,
        hits: HitLogger | None = None,
        *,
        environment_name: str = "",
        additional_conditions: ModuleType | str | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.configs = configs
        self.hits = hits
        self._environment_name = environment_name
        self._additional = AdditionalChecks(additional_conditions)
        self._now_ns = now_ns
        self._problems = Problems()
        self._is_asleep = False
        self._view = View(ConfigSet({}), environment_name, self._additional, now_ns)
        self._quick = self._view.quick
        configs.published.watch(self)

    def get_active_variant(
        self,
        key: str,
        user: Unit,
        environment: Environment | None = None,
        log_hit: bool = True,  # noqa: FBT001, FBT002 - the fourth argument, as services know it
    ) -> str | None:
        """Return the name of the variant that `user` gets of the test `key`, or None: the old behaviour.

        The hit is logged at once. Where the variant is shown later, or perhaps never, pass `log_hit=False` and call
        `log_hit` when it is shown; for the control variant too, or the arms cannot be compared.
        """
        # The usual case: a look into a dictionary, and one compiled function. All else goes the longer way.
        try:
            variant = self._quick[key](user, environment)
            if variant is None:
                return None
            if variant:
                if log_hit and self.hits is not None:
                    self._log_usual(self.hits, self._view.source.tests[key], variant, user, environment)
                return variant
        except Exception:  # noqa: BLE001, S110 - whatever it is, the longer way says it
            pass
        return self._asked(key, user, environment, log_hit=log_hit)

    def active_variants(
        self,
        user: Unit,
        environment: Environment | None = None,
        *,
        log_hits: bool = False,
        supported: Collection[str] | None = None,
    ) -> dict[str, str]:
        """Return the variants that `user` gets of all tests, by key; tests without one are absent.

        Knowing is not showing: no hits are logged unless asked for; call `log_hit` for what is shown.

        Args:
            user: who is asked about.
            environment: how the visitor came.
            log_hits: the variants are shown now, all of them.
            supported: the keys of the tests that the visitor's client supports, as the client sent them: the answer
                holds no others. Keys that are no test are passed over, for old clients send many.
        """
        if supported is None:
            # As for a single check: the usual case is one compiled function.
            try:
                everything, since, until = self._view.everything
                if since < now_seconds() < until:
                    found = everything(user, environment)
                    if found is not None:
                        return self._logged(found, user, environment) if log_hits else found
            except Exception:  # noqa: BLE001, S110 - whatever it is, the longer way says it
                pass
        try:
            if supported is None:
                found = self._all_at_once(user, environment)
                if found is not None:
                    return self._logged(found, user, environment) if log_hits else found
                keys = list(self._awake_view().source.tests)
            else:
                # As it came from outside: anything may be in it.
                sent, tests = cast("Collection[object]", supported), self._awake_view().source.tests
                keys = [key for key in sent if isinstance(key, str) and key in tests]
                environment = dataclasses.replace(environment or Environment(), supported_tests=frozenset(keys))
        except Exception as error:  # noqa: BLE001 - the promise of this class
            self._problems.note("", "failed", error)
            return {}
        answers = ((key, self._asked(key, user, environment, log_hit=log_hits)) for key in keys)
        return {key: variant for key, variant in answers if variant is not None}

    def is_in_group(self, key: str, user: Unit, environment: Environment | None = None) -> bool:
        """Answer whether `user` is in the user group `key`. Nobody is in one that is unknown or not active."""
        answer = self._membership(key, user, environment)
        if answer.reason in PROBLEMS:
            self._problems.note(key, answer.reason)
        return answer.is_member

    def explain(self, key: str, user: Unit, environment: Environment | None = None) -> Answer:
        """Answer as `get_active_variant` does, with the reason; no hit is logged and nothing counted."""
        config: SplitTestConfig | None = None
        try:
            config = self._awake_view().source.tests.get(key)
            resolution = self._awake_view().resolve(key, user, environment, self._now_ns())
            return explained(key, resolution, user, environment)
        except Exception as error:  # noqa: BLE001 - the promise of this class
            detail = f"The check failed: {safe_text(error)}."
            if config is None:
                return Answer(key=safe_key(key), variant=None, reason="failed", detail=detail)
            return answer_of(config, None, "failed", detail)

    def explain_group(self, key: str, user: Unit, environment: Environment | None = None) -> GroupAnswer:
        """Answer as `is_in_group` does, with the reason; nothing is counted."""
        return self._membership(key, user, environment, with_detail=True)

    def log_hit(
        self,
        key: str,
        variant: str | None,
        user: Unit,
        environment: Environment | None = None,
        *,
        settings_group: int | None = None,
        forced: bool = False,
    ) -> bool:
        """Log now that `user` was shown `variant`, which an earlier check gave: the e-mail was opened.

        A variant of None logs nothing, so that the answer of a check can be passed on as it is. A variant that the
        test does not have is counted as a problem. Of a finished or rejected test nothing is logged any more.

        Args:
            key: the test's key.
            variant: what the check returned.
            user: who was shown it.
            environment: how the visitor came, this time.
            settings_group: the settings that gave the variant, if they are not the current ones any more.
            forced: the variant was forced by QA, not drawn. Where an override says so now, it need not be said.

        Returns:
            Whether a hit went into the buffer.
        """
        try:
            if variant is None or self.hits is None:
                return False
            view = self._awake_view()
            config = view.source.tests.get(key)
            problem = "unknown_test" if config is None else problem_of(user, environment)
            if problem is not None or config is None:
                self._problems.note(key, problem or "unknown_test")
                return False
            forced = forced or (view.overrides is not None and view.overrides.forced(key, user) == (True, variant))
            if variant not in config.variants[1:] and not forced:
                self._problems.note(key, "unknown_variant")
                return False
            if not config.logs_hits:
                return False
            # The text itself, where an enum's member came.
            known = next((name for name in config.variants[1:] if name == variant), variant)
            return self._log(self.hits, config, known, user, environment, settings_group, forced=forced)
        except Exception as error:  # noqa: BLE001 - the promise of this class
            self._problems.note(key, "failed", error)
            return False

    def problems(self) -> Mapping[Reason, int]:
        """Return how often checks met something that has to be mended, by reason. For metrics."""
        return self._problems.counts()

    def unknown_keys(self) -> Mapping[str, int]:
        """Return the keys that were asked for and are no test (any more), and how often: dead tests in the code.

        A key of a Draft that was never published is among them: servers do not know it. At most 1,000 are remembered.
        """
        return self._problems.dead_keys()

    def take(self, current: ConfigSet) -> None:
        """Answer from these configs from now on; the source of configs calls it."""
        self._view = View(current, self._environment_name, self._additional, self._now_ns, self._view)
        self._quick = self._view.quick

    def fall_asleep(self) -> None:
        """Wake the source of configs at the next check; called in a forked child."""
        self._quick = {}
        self._view.everything = NEVER
        self._is_asleep = True

    def _awake_view(self) -> View:
        if self._is_asleep:
            self._is_asleep = False
            self.configs.wake()
        return self._view

    def _asked(self, key: str, user: Unit, environment: Environment | None, *, log_hit: bool) -> str | None:
        """Answer by the reference, and take note of what has to be mended."""
        try:
            resolution = self._awake_view().resolve(key, user, environment, self._now_ns())
            config, variant = resolution.config, resolution.variant
            if variant is None or config is None:
                self._problems.note(key, resolution.reason, resolution.error)
                return None
            if log_hit and config.logs_hits and self.hits is not None:
                self._log(self.hits, config, variant, user, environment, forced=resolution.reason == "forced")
        except Exception as error:  # noqa: BLE001 - the promise of this class
            self._problems.note(key, "failed", error)
            return None
        return variant

    def _all_at_once(self, user: Unit, environment: Environment | None) -> dict[str, str] | None:
        """Return the variants by the compiled checks of all tests, or None where they do not suffice."""
        view = self._awake_view()
        try:
            if view.overrides is not None and view.overrides.touch(user):
                return None
            bulk = view.compile_everything(self._now_ns)
            found = bulk.everything(user, environment)
        except Exception:  # noqa: BLE001 - asked one by one, it is said what is wrong
            return None
        if found is None or not (bulk.singly or view.additional):
            return found
        for key in (*bulk.singly, *(key for key in view.additional if key in found)):
            found.pop(key, None)
            variant = self._asked(key, user, environment, log_hit=False)
            if variant is not None:
                found[key] = variant
        return found

    def _logged(self, found: dict[str, str], user: Unit, environment: Environment | None) -> dict[str, str]:
        tests = self._view.source.tests
        for key, variant in found.items():
            if self.hits is not None and key in tests:
                self._log_usual(self.hits, tests[key], variant, user, environment)
        return found

    def _membership(
        self, key: str, user: Unit, environment: Environment | None, *, with_detail: bool = False
    ) -> GroupAnswer:
        try:
            config = self._awake_view().source.user_groups.get(key)
            return membership(key, config, user, environment, with_detail=with_detail)
        except Exception as error:  # noqa: BLE001 - the promise of this class
            detail = f"The check failed: {safe_text(error)}."
            return GroupAnswer(key=safe_key(key), is_member=False, reason="failed", detail=detail)

    def _log_usual(
        self, hits: HitLogger, config: SplitTestConfig, variant: str, user: Unit, environment: Environment | None
    ) -> None:
        """Log a hit of a compiled check, whose unit is a plain one with a split group, if the test still runs."""
        if config.logs_hits:
            unit_type, unit_id = ("user", user.id) if type(user) is User else unit_identity(user)
            platform, country = ("", "") if environment is None else (environment.platform, environment.country)
            hits.log_drawn(
                config.key, config.settings_group, variant, unit_type, unit_id, user.split_group, platform, country
            )

    def _log(
        self,
        hits: HitLogger,
        config: SplitTestConfig,
        variant: str,
        user: Unit,
        environment: Environment | None,
        settings_group: int | None = None,
        *,
        forced: bool = False,
    ) -> bool:
        unit_type, unit_id = unit_identity(user)
        return hits.log(
            test_key=config.key,
            variant=variant,
            unit_type=unit_type,
            unit_id=unit_id,
            settings_group=config.settings_group if settings_group is None else settings_group,
            split_group=user.split_group if is_split_group(user.split_group) else 0,
            platform="" if environment is None else environment.platform,
            country="" if environment is None else environment.country,
            forced=forced,
        )
