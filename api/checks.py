"""Who gets what, and why: for QA engineers, and for autotests. No check here logs a hit."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.clock import Clock
from api.history import Moment, Position, resolve, seen_then
from api.identify import Reader
from api.parts import Here
from api.sight import onlooker, seen_test
from api.texts import AwareMoment, KeyInPath
from api.visits import AnswerDocument, VisitDocument, answer_document, nanoseconds
from projections import config, test_list
from projections.config import ConfigDocument
from usersplit import Checker, MemoryConfigs

router = APIRouter(prefix="/api/v1", tags=["checks"])


class Check(VisitDocument):
    """A visit, checked as if it were another moment where `now` is given; the settings stay those in force."""

    now: AwareMoment | None = None


class ManyChecks(Check):
    """A visit, checked in several tests; in all that you may see where no keys are given."""

    keys: Annotated[list[str], Field(max_length=1000)] | None = None


class Answers(BaseModel):
    """The answers, by key."""

    answers: list[AnswerDocument]


@router.post("/tests/{key}/check", summary="Which variant somebody gets, and why")
def check(parts: Here, clock: Clock, identity: Reader, key: KeyInPath, visit: Check) -> AnswerDocument:
    """Answer as a service with today's config would."""
    with parts.reading() as connection:
        seen_test(connection, identity, key)
        document = config.get(connection, key)
    return _explained([key], [document] if document else [], visit, visit.now or clock())[0]


@router.post("/tests/{key}/check-as-of", summary="Which variant somebody would have got then, and why")
def check_as_of(
    parts: Here, identity: Reader, key: KeyInPath, visit: VisitDocument, position: Position = None, at: Moment = None
) -> AnswerDocument:
    """Answer with the settings and the clock of that moment, or of that position of the log."""
    with parts.reading() as connection:
        seen_test(connection, identity, key)
    then, moment = resolve(parts, position, at)
    document = seen_then(parts, identity, key, then).document
    return _explained([key], [document] if document else [], visit, moment)[0]


@router.post("/checks", summary="Which variants somebody gets of many tests, and why")
def check_many(parts: Here, clock: Clock, identity: Reader, visit: ManyChecks) -> Answers:
    """Answer for an autotest: all tests at once, or those named; one that you may not see is unknown."""
    with parts.reading() as connection:
        visible = test_list.visible_keys(connection, onlooker(identity))
        keys = sorted(visible if visit.keys is None else set(visit.keys))
        documents = config.get_many(connection, [key for key in keys if key in visible])
    return Answers(answers=_explained(keys, documents, visit, visit.now or clock()))


def _explained(
    keys: Sequence[str], documents: Sequence[ConfigDocument], visit: VisitDocument, moment: datetime
) -> list[AnswerDocument]:
    configs = MemoryConfigs([json.loads(each.document) for each in documents])
    checker = Checker(configs, now_ns=lambda: nanoseconds(moment))
    unit, way = visit.unit(), visit.way()
    return [answer_document(checker.explain(key, unit, way)) for key in keys]
