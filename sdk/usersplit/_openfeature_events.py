"""What OpenFeature is told of the configs: that they changed, cannot be read, can be read again."""

import threading

from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode
from openfeature.provider import AbstractProvider

from usersplit._config_set import ConfigSet, Published


class ConfigEvents:
    """Turns what happens to configs into events of a provider. Called by whichever thread reads the configs.

    Args:
        provider: emits the events.
        published: tells what happens.
    """

    def __init__(self, provider: AbstractProvider, published: Published) -> None:
        self._provider = provider
        self._published = published
        self._lock = threading.RLock()  # older releases call handlers at once, and a handler may reload
        self._is_well = True

    def begin(self) -> None:
        """Follow the configs. Whoever calls it says that the provider is ready."""
        self._is_well = True
        self._published.listen(self)

    def end(self) -> None:
        """Follow them no more."""
        self._published.forget(self)

    def configs_changed(self, before: ConfigSet, now: ConfigSet) -> None:
        """See `Listener`."""
        # Overrides are of units, not of flags: which ones change for whom, nobody can say.
        keys = _changed_keys(before, now) if before.overrides is now.overrides else None
        if keys is None or keys:
            self._provider.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=keys))

    def configs_looked_for(self, *, was_read: bool) -> None:
        """See `Listener`."""
        with self._lock:
            if was_read is self._is_well:
                return
            self._is_well = was_read
            if was_read:
                self._provider.emit_provider_ready(ProviderEventDetails(message="The configs can be read."))
            elif self._published.current.by_place:
                sentence = "The configs cannot be read now; those in hand stay in force."
                self._provider.emit_provider_stale(ProviderEventDetails(message=sentence))
            else:
                sentence = "No configs could be read yet: every test is unknown. problems() of the configs tells why."
                self._provider.emit_provider_error(ProviderEventDetails(message=sentence, error_code=ErrorCode.GENERAL))


def _changed_keys(before: ConfigSet, now: ConfigSet) -> list[str]:
    both = ((before.tests, now.tests), (before.user_groups, now.user_groups))
    return sorted({key for old, new in both for key in old.keys() | new.keys() if old.get(key) is not new.get(key)})
