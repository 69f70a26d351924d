"""For tests of services: a client in memory, with variants to force and hits to assert. pytest gives it as a fixture.

    def test_the_red_button(split_tests):
        split_tests.force("green_button", "red")
        page = render(split_tests, user)
        assert "red" in page
        split_tests.assert_hit("green_button", "red", user)

It is a real client with the real checker: what it answers follows from documents, as on a server.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from usersplit._client import UserSplit
from usersplit._hit_logger import HitLogger
from usersplit._hit_transport import MemoryHitTransport
from usersplit._memory_configs import MemoryConfigs
from usersplit._overrides import OVERRIDES_KEY
from usersplit._split_groups import SPLIT_GROUPS
from usersplit._units import Unit, unit_identity
from usersplit.hits import Hit

__all__ = ["MemoryUserSplit", "split_test_document", "user_group_document"]

_LONG_AGO: Final = "2000-01-01T00:00:00Z"
_FAR_AWAY: Final = "2999-01-01T00:00:00Z"
_CONTROL: Final = "control"
_FLUSH_SECONDS: Final = 30.0
_MOST_HITS_SHOWN: Final = 20


def split_test_document(
    key: str,
    *,
    variants: Sequence[str] | Mapping[str, Iterable[int]] = (_CONTROL, "variant"),
    position: int = 1,
    **changes: object,
) -> dict[str, Any]:
    """Return the config document of a Running test that everybody may take part in.

    Args:
        key: the test's key.
        variants: the names, which share all split groups equally; or the split groups of each. One that is called
            "control" is the control variant.
        position: of two documents of a test the higher one counts.
        changes: other values of the document's fields, such as `status="in_dev"`; see docs/config-documents.md.
    """
    if isinstance(variants, Mapping):
        groups = {name: list(owned) for name, owned in variants.items()}
    else:
        groups = {name: list(range(place + 1, SPLIT_GROUPS + 1, len(variants))) for place, name in enumerate(variants)}
    return {
        "format": 1,
        "kind": "split_test",
        "key": key,
        "position": position,
        "status": "running",
        "type": "web",
        "settings_group": 1,
        "starts_at": _LONG_AGO,
        "ends_at": _FAR_AWAY,
        "conditions": [],
        "filters": {},
        "variants": [
            {"name": name, "is_control": name == _CONTROL, "split_groups": owned} for name, owned in groups.items()
        ],
        "result": None,
        **changes,
    }


def user_group_document(key: str, *, position: int = 1, **changes: object) -> dict[str, Any]:
    """Return the config document of an active user group that everybody is in.

    Args:
        key: the user group's key.
        position: of two documents of a user group the higher one counts.
        changes: other values of the document's fields, such as `conditions`.
    """
    return {
        "format": 1,
        "kind": "user_group",
        "key": key,
        "position": position,
        "status": "active",
        "settings_group": 1,
        "conditions": [],
        "filters": {},
        **changes,
    }


class MemoryUserSplit(UserSplit):
    """A client without files and without Kafka, for tests. Close it, or use it in a `with` statement.

    No test is known to it at first, so that nobody gets a variant of anything: the old behaviour.

    Args:
        documents: the config documents in force at first; `split_test_document` makes some.
        app: the service, as hits name it.
        environment_name: where the service seems to run.
        additional_conditions: as for `connect`.
    """

    def __init__(
        self,
        documents: Iterable[Mapping[str, Any]] = (),
        *,
        app: str = "test",
        environment_name: str = "test",
        additional_conditions: ModuleType | str | None = None,
    ) -> None:
        self._wire = MemoryHitTransport()
        self._memory = MemoryConfigs()
        self._place = environment_name
        self._position = 0
        self._documents: dict[str, dict[str, Any]] = {}
        self._forced: dict[str, dict[str, str | None]] = {}
        self._disabled: dict[str, dict[str, list[str]]] = {}
        super().__init__(
            configs=self._memory,
            hits=HitLogger(self._wire, app=app, environment_name=environment_name),
            environment_name=environment_name,
            additional_conditions=additional_conditions,
        )
        for document in documents:
            self.put(document)

    def put(self, document: Mapping[str, Any]) -> None:
        """Put a document in force, whatever its position is.

        Raises:
            UnreadableConfig: it is none.
        """
        self._position += 1
        positioned = {**document, "position": self._position}
        self._memory.put(positioned)
        if document.get("kind") == "split_test":
            self._documents[str(document.get("key"))] = positioned

    def force(self, key: str, variant: str | None, unit: Unit | str | None = None) -> None:
        """From now on, let everybody get `variant` of the test `key`; or `unit` alone, as QA forces it.

        For everybody the test is made anew, without conditions, and Running: all split groups are the variant's. The
        units need a split group, as in production, and the hits are those of drawn variants. For one unit it is an
        override: whatever the test's settings are, and the hits say that they were forced.

        Args:
            key: the test's key; it need not be known yet.
            variant: None is no variant: the old behaviour.
            unit: a `User`, a `Guest`, or text such as "user:42".
        """
        if unit is not None:
            if key not in self._documents:
                self.put(split_test_document(key, variants={variant or _CONTROL: ()}))
            self._forced.setdefault(_unit_text(unit), {})[key] = variant
            self._put_overrides()
            return
        known = self._documents.get(key, {"variants": []})
        names = [each["name"] for each in known["variants"] if each["name"] != variant]
        groups: dict[str, Iterable[int]] = dict.fromkeys(names, ())
        if variant is not None:
            groups[variant] = range(1, SPLIT_GROUPS + 1)
        kept = {name: known[name] for name in ("type", "settings_group") if name in known}
        self.put(split_test_document(key, variants=groups, **kept))

    def disable_all(self, unit: Unit | str, *, but: Collection[str] = ()) -> None:
        """From now on, let `unit` get no variant of any test, but of those whose keys are in `but`."""
        self._disabled[_unit_text(unit)] = {"enabled": list(but)}
        self._put_overrides()

    def set_group(self, key: str, *, everybody: bool) -> None:
        """From now on, let everybody be in the user group `key`, or nobody."""
        self.put(user_group_document(key, status="active" if everybody else "off"))

    def logged_hits(self) -> tuple[Hit, ...]:
        """Return all hits that were logged so far, in order."""
        if not self.flush(_FLUSH_SECONDS):
            raise TimeoutError(f"The hits did not get through within {_FLUSH_SECONDS:.0f} seconds: {self.stats()}")
        return tuple(self._wire.hits)

    def assert_hit(
        self, key: str, variant: str | None = None, unit: Unit | str | None = None, *, times: int | None = None
    ) -> tuple[Hit, ...]:
        """Assert that a hit was logged; return all that fit.

        Args:
            key: the test's key.
            variant: the variant that was shown; None takes any.
            unit: who was shown it; None takes anybody.
            times: how many hits there must be; None takes one or more.

        Raises:
            AssertionError: there are none, or not so many; the message shows what was logged.
        """
        __tracebackhide__ = True
        logged = self.logged_hits()
        fitting = tuple(hit for hit in logged if _fits(hit, key, variant, unit))
        if len(fitting) == times or (times is None and fitting):
            return fitting
        wanted = "a hit" if times is None else f"{times} hits"
        raise AssertionError(
            f"Expected {wanted} of {_wanted(key, variant, unit)}, found {len(fitting)}.{_shown(logged)}"
        )

    def assert_no_hit(self, key: str | None = None, variant: str | None = None, unit: Unit | str | None = None) -> None:
        """Assert that no such hit was logged; without a key, none at all.

        Raises:
            AssertionError: there is one; the message shows what was logged.
        """
        __tracebackhide__ = True
        logged = self.logged_hits()
        if any(_fits(hit, key, variant, unit) for hit in logged):
            raise AssertionError(f"Expected no hit of {_wanted(key, variant, unit)}.{_shown(logged)}")

    def _put_overrides(self) -> None:
        environment = {"forced": self._forced, "disabled": self._disabled}
        self.put({"format": 1, "kind": "overrides", "key": OVERRIDES_KEY, "environments": {self._place: environment}})


def _unit_text(unit: Unit | str) -> str:
    return unit if isinstance(unit, str) else ":".join(map(str, unit_identity(unit)))


def _fits(hit: Hit, key: str | None, variant: str | None, unit: Unit | str | None) -> bool:
    return (
        key in (None, hit.test_key)
        and variant in (None, hit.variant)
        and (unit is None or _unit_text(unit) == f"{hit.unit_type}:{hit.unit_id}")
    )


def _wanted(key: str | None, variant: str | None, unit: Unit | str | None) -> str:
    return (
        (key or "any test")
        + ("" if variant is None else f" with the variant {variant}")
        + ("" if unit is None else f" for {_unit_text(unit)}")
    )


def _shown(logged: Sequence[Hit]) -> str:
    if not logged:
        return " No hit was logged."
    lines = [
        f"\n  {hit.test_key} {hit.variant} {hit.unit_type}:{hit.unit_id}{' (forced)' if hit.forced else ''}"
        for hit in logged[:_MOST_HITS_SHOWN]
    ]
    more = "" if len(logged) <= _MOST_HITS_SHOWN else f"\n  … and {len(logged) - _MOST_HITS_SHOWN} more"
    return " Logged:" + "".join(lines) + more
