"""What can go wrong between conditions and a users table.

AudienceError
├── UsersMappingWrong       [users] in the catalog file contradicts itself or the filters
├── UsersTableWrong         the database has no such table or column, or one of another type
├── FilterWithoutColumn     conditions ask a filter of the profile that no column holds
├── SplitGroupsWrong        users without a split group, or with a number outside 1..2400
├── TooManyConditions       more than can be counted while somebody edits
├── IdentifierWrong         what a walk shall go on behind is no identifier of a user
└── ExportWrong             a file of users that cannot be imported
"""

from collections.abc import Sequence
from pathlib import Path


class AudienceError(Exception):
    """The root of this room's errors. Each message is a sentence that says what to do."""


class UsersMappingWrong(AudienceError):
    """The catalog file says something about users that cannot be."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"[users] in the catalog of filters {path} is wrong: {detail}")


class UsersTableWrong(AudienceError):
    """The mapping and the database do not fit."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(f"the users table does not fit its mapping in the catalog file: {'; '.join(problems)}")
        self.problems = tuple(problems)


class FilterWithoutColumn(AudienceError):
    """Nobody can tell who meets this filter."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the filter {name} has no column in the users table; map it in [users.columns] of the catalog file"
        )
        self.name = name


class SplitGroupsWrong(AudienceError):
    """The users table cannot say which users belong to a split group."""

    def __init__(self, users: int) -> None:
        super().__init__(
            f"{users:,} {'user has' if users == 1 else 'users have'} no split group, or one outside 1 to 2400; "
            "back-fill the split groups first"
        )
        self.users = users


class TooManyConditions(AudienceError):
    """Nobody waits for minutes at each change of a condition."""

    def __init__(self) -> None:
        super().__init__(
            "there are too many conditions to count users while they are edited; use lists of values (in), or a preview"
        )


class IdentifierWrong(AudienceError):
    """Users are numbered, and this is no number."""

    def __init__(self, identifier: object) -> None:
        super().__init__(
            f"{identifier!r:.100} is no identifier of a user, which are whole numbers; give the last one seen"
        )


class ExportWrong(AudienceError):
    """A file of users that does not fit the users table."""

    def __init__(self, path: Path, detail: str) -> None:
        super().__init__(f"the users in {path} cannot be imported: {detail}")
