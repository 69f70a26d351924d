"""What the API itself refuses, before any command or query is asked.

ApiRefusal
├── WrongIfMatch          If-Match is not an ETag that we gave
├── WrongIdempotencyKey   an Idempotency-Key that cannot be one
├── WrongContentType      a body that does not say that it is JSON
├── WrongCursor           `after` is not what a list gave as `next`
├── WhenMissing           as of when is not said, or said twice
├── NothingThen           the test did not exist then, or was a Draft that this person could not have seen
├── BehindTheLog          a position that nothing was recorded at yet
├── RebuildAtWork         the projection is being rebuilt already
├── NobodyIsCounted       no users table is connected
├── NoWarehouse           no warehouse is connected
├── NotCountedYet         a user group without conditions
├── TooManyCounts         others are being counted
├── NoIdentityProvider    none is set up here
└── NoSuchThing           there is nothing of this name
"""

from collections.abc import Mapping
from typing import ClassVar


class ApiRefusal(Exception):
    """The root of these refusals. Nothing was changed."""

    status: ClassVar[int] = 422
    headers: ClassVar[Mapping[str, str]] = {}


class WrongIfMatch(ApiRefusal):
    """The precondition cannot be read; ignoring it would overwrite what it was to protect."""

    status = 400

    def __init__(self, value: str) -> None:
        super().__init__(f'If-Match is {value!r:.80}; send the ETag that a GET of the test gave, such as "7"')


class WrongIdempotencyKey(ApiRefusal):
    """The key cannot be kept."""

    status = 400

    def __init__(self) -> None:
        super().__init__("Idempotency-Key must be 1 to 200 printable ASCII characters, such as a UUID")


class WrongContentType(ApiRefusal):
    """Read as JSON, what a form or a text says would be taken for something else."""

    status = 415

    def __init__(self, content_type: str) -> None:
        super().__init__(
            f"the body came as {content_type!r:.80}; send JSON, and say so: Content-Type: application/json"
        )


class WrongCursor(ApiRefusal):
    """The cursor is of another list, or damaged."""

    status = 400

    def __init__(self) -> None:
        super().__init__("after is not a cursor; send what the list before gave as next, or nothing")


class WhenMissing(ApiRefusal):
    """A question about the past needs its moment."""

    def __init__(self) -> None:
        super().__init__("say as of when: either a position, or a moment as at=2026-05-03T14:05:00Z")


class NothingThen(ApiRefusal):
    """The same for a test that was not there and for a Draft of others."""

    status = 404

    def __init__(self, key: str, position: int) -> None:
        super().__init__(
            f"there was no split test {key!r:.120} that you could see at position {position}; its changelog says since "
            "when"
        )


class BehindTheLog(ApiRefusal):
    """The log does not reach that far."""

    status = 404

    def __init__(self, position: int, head: int) -> None:
        super().__init__(f"position {position} is not in the log yet: it ends at {head}")


class RebuildAtWork(ApiRefusal):
    """One rebuild at a time."""

    status = 409

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being rebuilt; GET /api/v1/projections tells how far it is")


class NoIdentityProvider(ApiRefusal):
    """There is no other way in than a password."""

    status = 404

    def __init__(self) -> None:
        super().__init__("no identity provider is set up here; sign in with a password, or set USERSPLIT_OPENID_ISSUER")


class NobodyIsCounted(ApiRefusal):
    """Numbers about users need users."""

    status = 409

    def __init__(self) -> None:
        super().__init__("no users table is connected; an operator sets USERSPLIT_USERS_URL, see docs/audience.md")


class NoWarehouse(ApiRefusal):
    """Hits are counted where they are kept."""

    status = 409

    def __init__(self) -> None:
        super().__init__("no warehouse is connected; an operator sets USERSPLIT_WAREHOUSE_URL, see docs/bi.md")


class NotCountedYet(ApiRefusal):
    """There is nothing to count."""

    status = 404

    def __init__(self, key: str) -> None:
        super().__init__(f"the user group {key!r:.120} has no conditions yet, so nobody is counted; propose some first")


class TooManyCounts(ApiRefusal):
    """Each takes as much of the machine as a preparation."""

    status = 429
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "5"}

    def __init__(self) -> None:
        super().__init__("others are being counted; try again in a few seconds")


class NoSuchThing(ApiRefusal):
    """There is nothing of this name."""

    status = 404

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name!r:.120}; check its name")
