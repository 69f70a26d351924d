"""An OpenFeature provider on the local checker: no network in an evaluation. Needs the extra `usersplit[openfeature]`.

    api.set_provider_and_wait(UserSplitProvider(client))
    context = EvaluationContext("42", {"split_group": 1207, "country_id": 50, "platform": "web"})
    api.get_client().get_string_value("green_button", "control", context)

A split test is a flag: its text is the variant's name, its boolean whether the variant is another one than control. A
user group is a boolean flag. What the context holds and what each answer means is in docs/openfeature.md.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

try:
    import openfeature.provider  # noqa: F401 - only to say what is missing
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "The OpenFeature provider needs the package openfeature-sdk: pip install 'usersplit[openfeature]'"
    ) from error

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode, InvalidContextError, OpenFeatureError, TargetingKeyMissingError
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagMetadata, FlagResolutionDetails, Reason
from openfeature.hook import Hook, HookContext, HookHints
from openfeature.provider import AbstractProvider, Metadata

from usersplit._checker import Checker
from usersplit._config_fields import shown
from usersplit._decision import Answer, GroupAnswer
from usersplit._hit_record import text_of
from usersplit._openfeature_events import ConfigEvents
from usersplit._split_groups import is_split_group
from usersplit._units import Environment, Guest, Unit, User

if TYPE_CHECKING:
    from openfeature.flag_evaluation import FlagValueType  # older releases do not have the name

__all__ = ["LOG_HIT_HINT", "ExposureHook", "UserSplitProvider", "unit_and_environment"]

LOG_HIT_HINT: Final = "usersplit.log_hit"
"""The hook hint that says, if false, that this evaluation shows nothing: no hit is logged."""

T = TypeVar("T")

_ENVIRONMENT_FIELDS: Final = ("platform", "country", "user_agent", "app_version")
_SWITCHED_OFF: Final = frozenset({"draft", "discarded", "paused", "rejected", "disabled", "forced", "off"})
_ERRORS: Final[Mapping[str, ErrorCode]] = {
    "unknown_test": ErrorCode.FLAG_NOT_FOUND,
    "unknown_group": ErrorCode.FLAG_NOT_FOUND,
    "no_split_group": ErrorCode.INVALID_CONTEXT,
    "additional_condition_failed": ErrorCode.GENERAL,
    "failed": ErrorCode.GENERAL,
}
_REASONS: Final[Mapping[str, Reason]] = {
    "in_variant": Reason.SPLIT,
    "forced": Reason.TARGETING_MATCH,
    "result": Reason.TARGETING_MATCH,
}


class _Exposure(NamedTuple):
    """What a hit of this evaluation would say."""

    answer: Answer
    unit: Unit
    environment: Environment


class _Evaluated(dict[str, bool | int | float | str]):
    """The metadata of an evaluation, by which its exposure reaches the hook: a hook does not see the final context."""

    exposure: _Exposure | None = None


class ExposureHook(Hook):
    """Logs the hit of an evaluation that gave a variant of a split test. The provider brings one, unless told not to.

    Args:
        client: what logs it.
    """

    def __init__(self, client: Checker) -> None:
        self._client = client

    def after(
        self, hook_context: HookContext, details: "FlagEvaluationDetails[FlagValueType]", hints: HookHints
    ) -> None:
        """Log the hit, unless the hint `LOG_HIT_HINT` is false. Raises nothing."""
        del hook_context
        exposure = getattr(details.flag_metadata, "exposure", None)
        if isinstance(exposure, _Exposure) and (hints or {}).get(LOG_HIT_HINT, True) is not False:
            answer = exposure.answer
            self._client.log_hit(
                answer.key,
                answer.variant,
                exposure.unit,
                exposure.environment,
                settings_group=answer.settings_group,
                forced=answer.reason == "forced",
            )


class UserSplitProvider(AbstractProvider):
    """Evaluates flags with a client of UserSplit, which stays the service's: close it at the end of the process.

    It emits events: "configuration changed", with the keys, when configs change; "stale" when their source cannot be
    read, "error" if there are none at all then, and "ready" when it can be read again.

    Args:
        client: what answers.
        log_hits: whether evaluations log hits, by an `ExposureHook`.
    """

    def __init__(self, client: Checker, *, log_hits: bool = True) -> None:
        super().__init__()
        self._client = client
        self._hooks: list[Hook] = [ExposureHook(client)] if log_hits else []
        self._events = ConfigEvents(self, client.configs.published)

    def get_metadata(self) -> Metadata:
        """Return the provider's name."""
        return Metadata(name="UserSplit")

    def get_provider_hooks(self) -> list[Hook]:
        """Return the hook that logs hits, unless there is none."""
        return list(self._hooks)

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Follow the configs from now on. Raises nothing: configs that are missing are no reason not to start."""
        del evaluation_context
        self._events.begin()

    def shutdown(self) -> None:
        """Follow the configs no more. The client stays open."""
        self._events.end()

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,  # noqa: FBT001 - the interface's
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[bool]:
        """Return whether the unit gets another variant than control, or is in the user group of this key.

        The default where it gets none: without a variant there is nothing to say.
        """
        try:
            unit, environment = unit_and_environment(evaluation_context)
        except OpenFeatureError as error:
            return _failed(default_value, error.error_code, error.error_message)
        answer = self._client.explain(flag_key, unit, environment)
        if answer.reason != "unknown_test":
            return _evaluated(answer, unit, environment, not answer.is_control, default_value)
        membership = self._client.explain_group(flag_key, unit, environment)
        if membership.reason in _ERRORS:
            return _failed(default_value, _ERRORS[membership.reason], membership.detail)
        return _membership(membership)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """Return the name of the variant that the unit gets, or the default."""
        try:
            unit, environment = unit_and_environment(evaluation_context)
        except OpenFeatureError as error:
            return _failed(default_value, error.error_code, error.error_message)
        answer = self._client.explain(flag_key, unit, environment)
        if answer.reason == "unknown_test":
            return self._of_another_type(flag_key, default_value)
        return _evaluated(answer, unit, environment, answer.variant or "", default_value)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """Return the default: no flag is a number."""
        del evaluation_context
        return self._of_another_type(flag_key, default_value)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """Return the default: no flag is a number."""
        del evaluation_context
        return self._of_another_type(flag_key, default_value)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: "Sequence[FlagValueType] | Mapping[str, FlagValueType]",
        evaluation_context: EvaluationContext | None = None,
    ) -> "FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]":
        """Return the default: no flag is an object."""
        del evaluation_context
        return self._of_another_type(flag_key, default_value)

    def _of_another_type(self, flag_key: str, default_value: T) -> FlagResolutionDetails[T]:
        nobody = Guest(split_group=0)
        if self._client.explain(flag_key, nobody).reason != "unknown_test":
            sentence = f"{flag_key} is a split test: ask for its text (the variant) or its boolean (not control)."
            return _failed(default_value, ErrorCode.TYPE_MISMATCH, sentence)
        membership = self._client.explain_group(flag_key, nobody)
        if membership.reason != "unknown_group":
            return _failed(default_value, ErrorCode.TYPE_MISMATCH, f"{flag_key} is a user group: ask for its boolean.")
        sentence = f"There is neither a split test nor a user group {flag_key} here."
        return _failed(default_value, ErrorCode.FLAG_NOT_FOUND, sentence)


def unit_and_environment(context: EvaluationContext | None) -> tuple[Unit, Environment]:
    """Return who is asked about and how they came, as the context tells. The table is in docs/openfeature.md.

    Raises:
        TargetingKeyMissingError: the context has no targeting key.
        InvalidContextError: one of the attributes that have a meaning of their own has an impossible value.
    """
    targeting_key = None if context is None else context.targeting_key
    if context is None or not targeting_key:
        raise TargetingKeyMissingError("The targeting key is the id of the unit: of the user, the guest or the device.")
    attributes: dict[str, Any] = dict(context.attributes)
    split_group = attributes.pop("split_group", 0)
    unit_type = attributes.pop("unit_type", "user")
    device_id = _text(attributes.pop("device_id", None))
    supported = attributes.pop("supported_tests", None)
    if supported is not None and (isinstance(supported, str) or not isinstance(supported, Sequence)):
        raise InvalidContextError(f"supported_tests must be a list of keys, not {shown(supported)}.")
    environment = Environment(
        **{name: _text(attributes.get(name)) for name in _ENVIRONMENT_FIELDS},
        attributes=attributes,
        supported_tests=None if supported is None else frozenset(each for each in supported if isinstance(each, str)),
    )
    match unit_type:
        case "user":
            user = User(id=targeting_key, split_group=split_group, attributes=attributes, device_id=device_id)
            return user, environment
        case "guest":
            return Guest(id=targeting_key, split_group=split_group, device_id=device_id), environment
        case "device":
            return Guest(split_group=split_group, device_id=targeting_key), environment
        case _:
            raise InvalidContextError(f"unit_type is user, guest or device, not {shown(unit_type)}.")


def _text(value: object) -> str:
    """Return the text of an attribute that hits carry. None is an attribute that is not known, not the text "None"."""
    try:
        return "" if value is None else text_of(value)
    except Exception as error:
        raise InvalidContextError(f"An attribute is {shown(value)}, which has no text.") from error


def _evaluated(
    answer: Answer, unit: Unit, environment: Environment, value: T, default_value: T
) -> FlagResolutionDetails[T]:
    if answer.reason in _ERRORS:
        return _failed(default_value, _ERRORS[answer.reason], answer.detail)
    metadata = _Evaluated(
        settings_group=answer.settings_group,
        status=answer.status or "",
        split_group=unit.split_group if is_split_group(unit.split_group) else 0,
    )
    if answer.variant is None:
        reason = Reason.DISABLED if answer.reason in _SWITCHED_OFF else Reason.DEFAULT
        return FlagResolutionDetails(default_value, reason=reason, flag_metadata=metadata)
    if answer.reason != "result":
        metadata.exposure = _Exposure(answer, unit, environment)
    return FlagResolutionDetails(value, reason=_REASONS[answer.reason], variant=answer.variant, flag_metadata=metadata)


def _membership(membership: GroupAnswer) -> FlagResolutionDetails[bool]:
    metadata: FlagMetadata = {"settings_group": membership.settings_group, "status": membership.status or ""}
    is_off = membership.reason in _SWITCHED_OFF
    reason = Reason.TARGETING_MATCH if membership.is_member else Reason.DISABLED if is_off else Reason.DEFAULT
    return FlagResolutionDetails(membership.is_member, reason=reason, flag_metadata=metadata)


def _failed(default_value: T, code: ErrorCode, sentence: str | None) -> FlagResolutionDetails[T]:
    return FlagResolutionDetails(default_value, error_code=code, error_message=sentence, reason=Reason.ERROR)
