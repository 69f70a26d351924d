"""The errors of the SDK, and the version that hits carry.

    UserSplitError
    ├── InvalidSplitGroup           a split group outside 1..2400
    ├── InexactPercent              a percent that is no whole number of split groups
    ├── InvalidSetting              an address, a token, a number … with which nothing could ever work
    ├── UnreadableConfig            a config document that a check must not use
    │   ├── MalformedConfig         not the JSON that docs/config-documents.md describes
    │   ├── MiskeyedConfig          a document of another test than its file's name says
    │   └── ConfigFromTheFuture     a format that this version of the SDK does not know
    ├── usersplit.hits.MalformedHit         bytes that are no hit
    ├── usersplit.hits.UnencodableHit       a hit that does not fit its Avro schema
    ├── usersplit.guests.InvalidCookie      a setting that browsers refuse, or that protects nothing
    ├── usersplit.guests.NoGuestMiddleware  the application is not wrapped in one
    └── usersplit.tracks                    a class of in-code tests that is not made right
        ├── NoTracks                    nothing to choose from
        ├── InvalidWeight               no whole number
        └── UnknownTrack                a forced track that the class does not have

None of them ever reaches a service from a check or from logging a hit: there they become a reason and a count. The
errors of settings, `guests` and `tracks` speak of the code, and show the first time that it runs.
"""

from typing import Final

__version__: Final = "0.1.0"


class UserSplitError(Exception):
    """The root of the SDK's errors."""


class InvalidSplitGroup(UserSplitError, ValueError):
    """A split group is a whole number from 1 to 2400."""


class InexactPercent(UserSplitError, ValueError):
    """A percent must be a whole number of split groups: 24 of the 2400 are one percent."""


class InvalidSetting(UserSplitError, ValueError):
    """A setting with which nothing could ever work: an address that is none, an empty token."""


class UnreadableConfig(UserSplitError):
    """A config document that a check must not use; the last good one stays in force."""


class MalformedConfig(UnreadableConfig):
    """The document is not the JSON that a config has to be: torn, foreign, or with an impossible value."""


class MiskeyedConfig(UnreadableConfig):
    """The document belongs to another test than the name of its file says."""


class ConfigFromTheFuture(UnreadableConfig):
    """The document's format is newer than this version of the SDK; upgrade the SDK."""
