"""How changes of accounts, API tokens and projections are asked for: by the headers of other changes, and done once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from fastapi import Depends, Request, Response

from accounts.desk import Desk
from accounts.identity import Identity
from api.audit import note_change
from api.changes import Asked, etag, read_asked, read_idempotency_key
from api.clock import Clock
from api.first_answers import AnsweredMeanwhile, Deed, Errand, FirstAnswer, FirstAnswers
from api.identify import Administrator, DeskHere, Evaluator, Operator, Person
from commands.fingerprints import fingerprint

REPLAYED: Final = {"Idempotency-Replayed": "true"}
"""Said where an answer is not the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was done: how it is answered, and what the audit log says of it.

    Attributes:
        again: the document for whoever asks again, where that is another one: a secret is shown once.
    """

    status: int
    noted: str
    document: Mapping[str, Any] | None = None
    again: Mapping[str, Any] | None = None
    version: int | None = None
    location: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the answer."""
        named = {"ETag": "" if self.version is None else etag(self.version), "Location": self.location}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A change on its way: who asks for it, and what the headers say."""

    request: Request
    desk: Desk
    identity: Identity
    asked: Asked
    answers: FirstAnswers

    @property
    def expected_version(self) -> int | None:
        """The version of what was seen; None: whatever it is by now."""
        return self.asked.expected_version

    def told_apart(self, password: str | None) -> str | None:
        """Return what stands for a password in what makes this change another one; nothing could be told from a key."""
        if password is None or not self.asked.command_id:
            return None
        return self.desk.passwords.fingerprint(password, salt=f"{self.identity.name} {self.asked.command_id}")

    def once(self, command: str, key: str, arguments: Mapping[str, object], do: Callable[[Deed], Done]) -> Response:
        """Do it unless the same was asked for before, and answer as it was answered first.

        Args:
            command: what is done.
            key: to what.
            arguments: and how; a password as `told_apart` tells it.
            do: does it, all within the deed's transaction.

        Raises:
            CommandIdReused: the Idempotency-Key was used for another change.
        """
        actor = self.identity.name
        told = fingerprint(command=command, key=key, arguments=arguments, actor=actor)
        errand = Errand(actor=actor, key=self.asked.command_id, fingerprint=told)
        first = self.answers.of(errand)
        if first is None:
            try:
                return self._done(errand, do)
            except AnsweredMeanwhile:
                first = self.answers.of(errand)
                if first is None:
                    raise
        return _response(first, REPLAYED)

    def _done(self, errand: Errand, do: Callable[[Deed], Done]) -> Response:
        with self.answers.deed(errand) as deed:
            done = do(deed)
            deed.answer = _answer(done, done.document if done.again is None else done.again)
        self.desk.revision.move()
        note_change(self.request, done.noted)
        return _response(_answer(done, done.document), {})


def _answer(done: Done, document: Mapping[str, Any] | None) -> FirstAnswer:
    body = "" if document is None else msgspec.json.encode(document).decode()
    return FirstAnswer(status=done.status, body=body, headers=done.headers)


def _response(answer: FirstAnswer, more: Mapping[str, str]) -> Response:
    headers = {**answer.headers, **more}
    media_type = "application/json" if answer.body else None
    return Response(answer.body or None, status_code=answer.status, media_type=media_type, headers=headers)


_Asked: TypeAlias = Annotated[Asked, Depends(read_asked)]
_AskedToMake: TypeAlias = Annotated[Asked, Depends(read_idempotency_key)]


def _administer(request: Request, desk: DeskHere, identity: Administrator, clock: Clock, asked: _Asked) -> Order:
    answers = FirstAnswers(desk.engine, clock)
    return Order(request=request, desk=desk, identity=identity, asked=asked, answers=answers)


def _make_account(
    request: Request, desk: DeskHere, identity: Administrator, clock: Clock, asked: _AskedToMake
) -> Order:
    return _administer(request, desk, identity, clock, asked)


def _operate(request: Request, desk: DeskHere, identity: Operator, clock: Clock, asked: _Asked) -> Order:
    return _administer(request, desk, identity, clock, asked)


def _revoke(request: Request, desk: DeskHere, identity: Evaluator, clock: Clock, asked: _Asked) -> Order:
    return _administer(request, desk, identity, clock, asked)


def _make_token(request: Request, desk: DeskHere, identity: Person, clock: Clock, asked: _AskedToMake) -> Order:
    return _administer(request, desk, identity, clock, asked)


Administering: TypeAlias = Annotated[Order, Depends(_administer)]
"""An order of somebody who may administer."""

MakingAccounts: TypeAlias = Annotated[Order, Depends(_make_account)]
"""The same, of something that there is no version of yet."""

Operating: TypeAlias = Annotated[Order, Depends(_operate)]
"""An order of somebody who may operate."""

Revoking: TypeAlias = Annotated[Order, Depends(_revoke)]
"""An order of anybody who is known."""

MakingTokens: TypeAlias = Annotated[Order, Depends(_make_token)]
"""An order of somebody who signed in."""
