"""The question that services ask: which variant of this test does this visitor get?"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from usersplit._config import SplitTestConfig
from usersplit._decision import PROBLEMS, SENTENCES, Answer, Reason, decide, describe
from usersplit._hit_accounting import Tally
from usersplit._hit_logger import HitLogger
from usersplit._memory_configs import Configs
from usersplit._split_groups import is_split_group
from usersplit._units import Environment, Guest, Unit, User, unit_identity

_logger = logging.getLogger("usersplit.checks")

# Keys come from callers, so what is remembered of them is bounded.
_REMEMBERED_WARNINGS: Final = 1000


class Checker:
    """Answers checks from configs in memory, and logs the hits.

    No method raises, whatever it is given: a page does not fail because of an experiment. What is wrong becomes a
    reason (`explain` tells it), is counted (`problems`) and logged once per test and reason.

    Args:
        configs: where the tests are described.
        hits: where hits go; None logs none, for tools that only ask.
        now_ns: the clock, Unix time in nanoseconds.
    """

    def __init__(
        self, configs: Configs, hits: HitLogger | None = None, *, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._configs = configs
        self._hits = hits
        self._now_ns = now_ns
        self._tallies: dict[Reason, Tally] = {reason: Tally() for reason in PROBLEMS}
        self._warned: set[tuple[str, Reason]] = set()

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
        try:
            config = self._configs.find(key)
            variant, reason = self._decide(config, user, environment)
            if variant is None:
                if reason in self._tallies:
                    self._note(key, reason)
                return None
            if log_hit and self._hits is not None and config is not None and reason == "in_variant":
                self._log(self._hits, config, variant, user, environment)
        except Exception as error:  # noqa: BLE001 - the promise of this class
            self._note(key, "failed", error)
            return None
        return variant

    def active_variants(
        self,
        user: Unit,
        environment: Environment | None = None,
        *,
        log_hits: bool = False,
    ) -> dict[str, str]:
        """Return the variants that `user` gets of all tests, by key; tests without one are absent.

        Knowing is not showing: no hits are logged unless asked for; call `log_hit` for what is shown.
        """
        try:
            keys = self._configs.keys()
        except Exception as error:  # noqa: BLE001 - the promise of this class
            self._note("", "failed", error)
            return {}
        answers = ((key, self.get_active_variant(key, user, environment, log_hits)) for key in keys)
        return {key: variant for key, variant in answers if variant is not None}

    def explain(self, key: str, user: Unit, environment: Environment | None = None) -> Answer:
        """Answer as `get_active_variant` does, with the reason; no hit is logged and nothing counted."""
        config: SplitTestConfig | None = None
        try:
            config = self._configs.find(key)
            variant, reason = self._decide(config, user, environment)
            if config is None:
                return Answer(key=key, variant=None, reason=reason, detail=SENTENCES[reason])
            if reason in ("not_a_unit", "not_an_environment"):
                return _answer(config, None, reason, SENTENCES[reason])
            return _answer(config, variant, reason, describe(config, user, environment, variant, reason))
        except Exception as error:  # noqa: BLE001 - the promise of this class
            detail = f"The check failed: {_safe_text(error)}."
            if config is None:
                return Answer(key=_safe_key(key), variant=None, reason="failed", detail=detail)
            return _answer(config, None, "failed", detail)

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
            forced: the variant was forced by QA, not drawn.

        Returns:
            Whether a hit went into the buffer.
        """
        try:
            if variant is None or self._hits is None:
                return False
            config = self._configs.find(key)
            problem = _problem_of_hit(config, variant, user, environment)
            if problem is not None or config is None:
                self._note(key, problem or "unknown_test")
                return False
            if config.status in ("finished", "rejected"):
                return False
            known = config.variants[config.variants.index(variant)]  # the text itself, where an enum's member came
            return self._log(self._hits, config, known, user, environment, settings_group, forced=forced)
        except Exception as error:  # noqa: BLE001 - the promise of this class
            self._note(key, "failed", error)
            return False

    def problems(self) -> Mapping[Reason, int]:
        """Return how often checks met something that has to be mended, by reason."""
        return {reason: tally.value() for reason, tally in self._tallies.items()}

    def _decide(self, config: SplitTestConfig | None, user: object, environment: object) -> tuple[str | None, Reason]:
        if config is None:
            return None, "unknown_test"
        if not isinstance(user, (User, Guest)):
            return None, "not_a_unit"
        if environment is not None and not isinstance(environment, Environment):
            return None, "not_an_environment"
        return decide(config, user, environment, self._now_ns())

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

    def _note(self, key: object, reason: Reason, error: Exception | None = None) -> None:
        self._tallies[reason].tick()
        with suppress(Exception):  # a filter of the service's logging is the service's code
            warning = (_safe_key(key), reason)
            if warning in self._warned or len(self._warned) >= _REMEMBERED_WARNINGS:
                return
            self._warned.add(warning)
            detail = _safe_text(error) if error is not None else SENTENCES.get(reason, "The test has no such variant.")
            _logger.warning("No variant of the test %s (%s): %s", warning[0], reason, detail)


def _answer(config: SplitTestConfig, variant: str | None, reason: Reason, detail: str) -> Answer:
    return Answer(
        key=config.key,
        variant=variant,
        reason=reason,
        detail=detail,
        status=config.status,
        settings_group=config.settings_group,
        position=config.position,
    )


def _problem_of_hit(config: SplitTestConfig | None, variant: str, user: object, environment: object) -> Reason | None:
    if config is None:
        return "unknown_test"
    if not isinstance(user, (User, Guest)):
        return "not_a_unit"
    if environment is not None and not isinstance(environment, Environment):
        return "not_an_environment"
    return "unknown_variant" if variant not in config.variants or not variant else None


def _safe_key(key: object) -> str:
    """Return the key as text; of anything but a string only the type, for its own text may be code that fails."""
    return key[:200] if type(key) is str else f"<{type(key).__name__}>"


def _safe_text(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:500]
    except Exception:  # noqa: BLE001 - the error's own text fails
        return type(error).__name__
