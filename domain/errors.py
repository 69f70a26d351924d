"""The broken rules of the life of split tests and user groups: one class a rule, each message says what to do.

RuleBroken
├── SplitTestNotFound        there is no such test, or none that this person may know of
├── UserGroupNotFound        there is no such user group, or none that this person may know of
├── NoConditions             a user group that is to be active without conditions
├── NotAManager              only its managers and superusers edit and steer a test
├── KeyTaken                 a test has this key already
├── WrongKey                 a key that cannot be one
├── NameMissing              a test or a user group without a name
├── WrongType                a type that is not one lower-case word
├── WrongText                a text with characters that cannot be stored
├── NotOneLine               a text of one line with line breaks or control characters
├── TextTooLong              a text longer than a list, a message or a page can show
├── WrongProperty            a property that cannot be edited, or is not there
├── NothingChanges           a change that changes nothing
├── WrongManagerName         a manager without a name
├── TooManyManagers          a circle that nobody could look through
├── NoSuchManager            somebody is to leave the circle who is not in it
├── LastManager              a test without managers
├── TransitionNotAllowed     not from this status
├── NoCurrentSettings        nothing was prepared that could be published or started
├── SettingsEnded            the end of the settings has passed
├── UnknownVariant           a resulting variant that the test does not have
├── UnknownScope             a result is applied worldwide or by conditions
├── SettingsAreFinal         the test is over, its settings stay as they were
├── SettingsGroupSuperseded  the settings group is not waiting to be prepared
├── NothingToRetry           no preparation has failed
├── EstimateSuperseded       these conditions of a user group are not waiting to be counted
├── AllocationNotExact       split groups that are not what was proposed
├── OverrideRefused          see `domain.override_errors`
└── WrongSettings            see `domain.settings_errors`
"""

from collections.abc import Iterable, Sequence
from datetime import datetime


def moment_text(moment: datetime) -> str:
    """Return a moment in UTC as people write it, to the second."""
    return f"{moment.replace(microsecond=0, tzinfo=None)} UTC"


class RuleBroken(Exception):
    """The root of the domain's errors. Nothing was appended."""


class SplitTestNotFound(RuleBroken):
    """There is no test of this key, or it is a Draft of other people: the two must look the same."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no split test {key!r}; check its key, or ask its author to publish it")
        self.key = key


class UserGroupNotFound(RuleBroken):
    """There is no user group of this key, or it is a Draft of other people: the two must look the same."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no user group {key!r}; check its key, or ask its author to activate it")
        self.key = key


class NoConditions(RuleBroken):
    """Without conditions nobody has said who is in the user group."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} has no conditions yet; propose them first, [] for everybody")


class NotAManager(RuleBroken):
    """The test or user group is visible, but not this person's to change."""

    def __init__(self, key: str, actor: str, managers: Iterable[str]) -> None:
        circle = ", ".join(managers) or "a superuser"
        super().__init__(f"{actor} is not a manager of {key}; ask {circle} to do it, or to add {actor} to the managers")


class KeyTaken(RuleBroken):
    """Keys are unique. The message says nothing of the other test: it may be somebody's Draft."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key!r} is taken; choose another one")
        self.key = key


class WrongKey(RuleBroken):
    """The key cannot be one: it is used in code, and as the name of a file on every server."""

    def __init__(self, key: str, detail: str) -> None:
        super().__init__(f"{key!r:.120} cannot be a key: {detail}")
        self.key = key


class NameMissing(RuleBroken):
    """A test or a user group needs a name on one line."""

    def __init__(self) -> None:
        super().__init__(
            "the name is empty, or has a line break or a character that does not print (some emoji bring one along);"
            " type a name of one line"
        )


class WrongType(RuleBroken):
    """Types are compared with each other, so they are single lower-case words."""

    def __init__(self, value: str) -> None:
        super().__init__(
            f"{value!r:.100} cannot be a type; use one lower-case word such as web, mobile, server or email"
        )


class WrongText(RuleBroken):
    """Zero characters and halves of surrogate pairs are text to Python, and to no database."""

    def __init__(self, field: str) -> None:
        super().__init__(f"{field} holds characters that cannot be stored; type it again rather than pasting it")


class NotOneLine(RuleBroken):
    """A line break or a control character would tear the tables, messages and links that the text stands in."""

    def __init__(self, field: str) -> None:
        super().__init__(
            f"{field} has a line break or a character that does not print; give it on one line, typed not pasted"
        )


class TextTooLong(RuleBroken):
    """Every list, notification and changelog carries the text."""

    def __init__(self, field: str, length: int, most: int) -> None:
        super().__init__(f"{field} has {length:,} characters and may have {most:,}; shorten it")


class WrongProperty(RuleBroken):
    """A property that cannot be edited, or a value that is not text."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"{name!r} cannot be edited as a property with that value; texts can be: {', '.join(known)}")


class NothingChanges(RuleBroken):
    """The command would leave everything as it is."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(f"{what} of {key} would stay as they are; change something, or leave it")


class WrongManagerName(RuleBroken):
    """A manager is known by a name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r:.100} cannot be a manager's name; give the name that the person signs in with")


class TooManyManagers(RuleBroken):
    """Managers are people who are asked and told, each of them by name."""

    def __init__(self, count: int, most: int) -> None:
        super().__init__(f"there would be {count:,} managers and may be {most:,}; leave some out")


class NoSuchManager(RuleBroken):
    """Somebody is to be removed who is not a manager."""

    def __init__(self, key: str, name: str, managers: Iterable[str]) -> None:
        super().__init__(f"{name} is not a manager of {key}, whose managers are {', '.join(managers)}; check the name")


class LastManager(RuleBroken):
    """At least one manager must remain, or nobody but superusers could steer the test."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} would be left without managers; add another one in the same step")


class TransitionNotAllowed(RuleBroken):
    """The lifecycle has no such step from where the test is."""

    def __init__(self, key: str, action: str, status: str, possible: Sequence[str]) -> None:
        ways = f"what can be done from there: {', '.join(possible)}" if possible else "that is final"
        super().__init__(f"cannot {action} {key}, because it is {status}; {ways}")
        self.action = action
        self.status = status
        self.possible = tuple(possible)


class NoCurrentSettings(RuleBroken):
    """Only a test with prepared settings can be published and started."""

    def __init__(self, key: str, advice: str) -> None:
        super().__init__(f"{key} has no prepared settings yet; {advice}")


class SettingsEnded(RuleBroken):
    """The end of the current settings has passed: nobody would get a variant."""

    def __init__(self, key: str, ends_at: datetime) -> None:
        super().__init__(f"the settings of {key} ended at {moment_text(ends_at)}; propose settings with a later end")


class UnknownVariant(RuleBroken):
    """The resulting variant, and a forced one, must be one of the current variants."""

    def __init__(self, key: str, variant: str, known: Sequence[str], *, otherwise: str = "reject the test") -> None:
        super().__init__(f"{key} has no variant {variant!r:.100}; choose one of {', '.join(known)}, or {otherwise}")


class UnknownScope(RuleBroken):
    """A result is applied to everybody, or to those who meet the conditions."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"{scope!r} is no scope of a result; use worldwide or conditions")


class SettingsAreFinal(RuleBroken):
    """The settings of a test that is over are what its result was measured with."""

    def __init__(self, key: str, status: str) -> None:
        super().__init__(f"{key} is {status}, its settings cannot change any more; create a new test")


class SettingsGroupSuperseded(RuleBroken):
    """The settings group is not the one that waits: a newer one was proposed, it is prepared, or the test is over."""

    def __init__(self, key: str, settings_group: int) -> None:
        super().__init__(f"settings group {settings_group} of {key} is not waiting to be prepared; leave it")


class NothingToRetry(RuleBroken):
    """Only a failed preparation can be retried."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no preparation of {key} has failed; wait for the one under way, or propose settings")


class EstimateSuperseded(RuleBroken):
    """The conditions are not those that wait to be counted: others came into force, or they were counted already."""

    def __init__(self, key: str, settings_group: int) -> None:
        super().__init__(
            f"settings group {settings_group} of the user group {key} is not waiting to be counted; leave it"
        )


class AllocationNotExact(RuleBroken):
    """Prepared variants must be those that were proposed, with as many groups, none of them twice."""

    def __init__(self, key: str, settings_group: int, detail: str) -> None:
        super().__init__(f"the split groups for settings group {settings_group} of {key} are wrong: {detail}; retry it")
