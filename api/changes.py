"""How a change is asked for and answered: preconditions and idempotency from headers, and a receipt."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Final, TypeAlias

from fastapi import Depends, Header, Response
from pydantic import BaseModel

from accounts.identity import Identity
from api.identify import Creator, Overrider, Steerer
from api.parts import Here, Parts
from api.refusals import WrongIdempotencyKey, WrongIfMatch
from commands.execution import Request as CommandRequest
from events.store import Appended

_ETAG: Final = re.compile(r'"(0|[1-9][0-9]{0,8})"')
_IDEMPOTENCY_KEY: Final = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the headers of a change say.

    Attributes:
        expected_version: of what the person saw; None: whatever it is by now.
        command_id: of this one change; empty: a second time is done a second time.
    """

    expected_version: int | None
    command_id: str


_IdempotencyKey: TypeAlias = Annotated[
    str | None, Header(description="Of your own making: the same key again gets the first answer")
]


async def read_idempotency_key(idempotency_key: _IdempotencyKey = None) -> Asked:
    """Read the header of what is to be made, of which nobody can have seen a version.

    Raises:
        WrongIdempotencyKey: it cannot be kept.
    """
    if idempotency_key is not None and _IDEMPOTENCY_KEY.fullmatch(idempotency_key) is None:
        raise WrongIdempotencyKey
    return Asked(expected_version=None, command_id=idempotency_key or "")


async def read_asked(
    if_match: Annotated[
        str | None, Header(description='The ETag that was seen, such as "7": refused with 412 if it changed since')
    ] = None,
    idempotency_key: _IdempotencyKey = None,
) -> Asked:
    """Read the headers.

    Raises:
        WrongIfMatch, WrongIdempotencyKey: they cannot be read, and passing them over would do harm.
    """
    asked = await read_idempotency_key(idempotency_key)
    if if_match is None or if_match.strip() == "*":
        return asked
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise WrongIfMatch(if_match)
    return replace(asked, expected_version=int(found[1]))


_Asked: TypeAlias = Annotated[Asked, Depends(read_asked)]


class Receipt(BaseModel):
    """A change that was made.

    Attributes:
        version: of what was changed; the next change may expect it.
        position: of the change in the log, as changelogs have it.
        replayed: it had been made before, under the same Idempotency-Key.
    """

    key: str
    version: int
    position: int
    replayed: bool


def etag(version: int) -> str:
    """Return a version as a header has it."""
    return f'"{version}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A change on its way: who asks for it, what it expects, and where its receipt goes."""

    parts: Parts
    identity: Identity
    asked: Asked
    response: Response

    @property
    def request(self) -> CommandRequest:
        """The same as commands take it."""
        return CommandRequest(
            actor=self.identity.actor, command_id=self.asked.command_id, expected_version=self.asked.expected_version
        )

    def done(self, key: str, appended: Appended) -> Receipt:
        """Return the receipt, once every read model shows the change."""
        self.parts.catch_up(appended.position)
        self.response.headers["ETag"] = etag(appended.version)
        return Receipt(key=key, version=appended.version, position=appended.position, replayed=appended.replayed)


def _create(parts: Here, identity: Creator, asked: _Asked, response: Response) -> Order:
    return Order(parts=parts, identity=identity, asked=asked, response=response)


def _steer(parts: Here, identity: Steerer, asked: _Asked, response: Response) -> Order:
    return Order(parts=parts, identity=identity, asked=asked, response=response)


def _override(parts: Here, identity: Overrider, asked: _Asked, response: Response) -> Order:
    return Order(parts=parts, identity=identity, asked=asked, response=response)


Creation: TypeAlias = Annotated[Order, Depends(_create)]
"""An order of somebody who may create."""

Steering: TypeAlias = Annotated[Order, Depends(_steer)]
"""An order of somebody who may steer."""

Overriding: TypeAlias = Annotated[Order, Depends(_override)]
"""An order of somebody who may override."""
