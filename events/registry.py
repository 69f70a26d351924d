"""Names and versions of facts, and the way from a fact to bytes and back.

A stored fact is known by (name, version), never by a Python import path (rule 7 of the event store): a class may be
renamed or moved without touching history. Payloads are JSON, because an operator reads them with any SQL client and a
dump outlives this program; msgspec writes and checks them into dataclasses about as fast as anything does.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from events.errors import CorruptPayload, UnknownFact, UnreadableFact, UnregisteredFact

FactType = TypeVar("FactType", bound=type)
Upcaster: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From the payload of one version to the payload of the next. Pure: no clock, no look-ups."""


class EncodedFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact as it is stored: its registered name, the version of that name, and JSON bytes.

    A Struct, because there is one per event read, and a frozen dataclass takes five times as long to make.
    """

    name: str
    version: int
    payload: bytes


class FactRegistry:
    """The closed list of facts this program knows, each at its current version, with upcasters from older ones."""

    def __init__(self) -> None:
        self._current: dict[str, tuple[int, msgspec.json.Decoder[Any], type]] = {}
        self._names: dict[type, str] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}
        self._encoder = msgspec.json.Encoder()

    def register(self, name: str, *, version: int) -> Callable[[FactType], FactType]:
        """Register the decorated dataclass as the current `version` of the fact `name`.

        Raises:
            ValueError: the name or the class is taken, or the version is not a positive number.
        """

        def decorate(fact_type: FactType) -> FactType:
            if name in self._current or fact_type in self._names or version < 1:
                raise ValueError(
                    f"fact {name!r} version {version}: the name or the class is taken, or the version is below 1"
                )
            self._current[name] = (version, msgspec.json.Decoder(fact_type), fact_type)
            self._names[fact_type] = name
            return fact_type

        return decorate

    def upcaster(self, name: str, *, from_version: int) -> Callable[[Upcaster], Upcaster]:
        """Register the decorated function as the step from `from_version` of `name` to the next version."""

        def decorate(function: Upcaster) -> Upcaster:
            if (name, from_version) in self._upcasters:
                raise ValueError(f"fact {name!r} has an upcaster from version {from_version} already")
            self._upcasters[name, from_version] = function
            return function

        return decorate

    def names(self) -> dict[str, int]:
        """Return every registered name with its current version."""
        return {name: version for name, (version, _, _) in self._current.items()}

    def encode(self, fact: object) -> EncodedFact:
        """Return `fact` as it is stored. It is read back once: the log is for ever, and dataclasses check nothing.

        Raises:
            UnregisteredFact: its class was never registered.
            UnreadableFact: it holds values that its class does not declare, and could not be read again.
        """
        name = self._names.get(type(fact))
        if name is None:
            raise UnregisteredFact(type(fact).__name__)
        version, decoder, _ = self._current[name]
        try:
            payload = self._encoder.encode(fact)
            decoder.decode(payload)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
            raise UnreadableFact(name, str(error)) from error
        return EncodedFact(name=name, version=version, payload=payload)

    def decode(self, encoded: EncodedFact) -> Any:
        """Return the fact at its current version, upcast as far as needed. Fields it does not know are ignored.

        Raises:
            UnknownFact: no such name, or a version from the future.
            CorruptPayload: the bytes are not a payload of that fact.
        """
        return self.decode_payload(encoded.name, encoded.version, encoded.payload)

    def decode_payload(self, name: str, version: int, payload: bytes | str) -> Any:
        """Decode as `decode` does, what is not in an `EncodedFact` and need not be put into one."""
        current = self._current.get(name)
        if current is None or version > current[0]:
            raise UnknownFact(name, version)
        current_version, decoder, fact_type = current
        try:
            if version == current_version:
                return decoder.decode(payload)
            values = msgspec.json.decode(payload, type=dict[str, Any])
            return msgspec.convert(self._upcast(name, version, values, to_version=current_version), fact_type)
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
            # The last three come out of upcasters, which may trust that a payload holds what its version promised.
            raise CorruptPayload(name, version, str(error)) from error

    def _upcast(self, name: str, stored_version: int, payload: dict[str, Any], *, to_version: int) -> dict[str, Any]:
        for version in range(stored_version, to_version):
            step = self._upcasters.get((name, version))
            if step is None:
                raise UnknownFact(name, stored_version)
            payload = step(payload)
        return payload
