"""The steps of a test's life, each a POST of its own."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from api.changes import Receipt, Steering
from api.texts import KeyInPath

router = APIRouter(prefix="/api/v1/tests/{key}", tags=["lifecycle"])


class Result(BaseModel):
    """How a test ends: the variant that stays, for everybody or for those who meet the conditions."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"resulting_variant": "green", "scope": "worldwide"}]}
    )

    resulting_variant: str
    scope: Literal["worldwide", "conditions"] = "worldwide"


@router.post("/publish", summary="Draft → In Dev")
def publish(order: Steering, key: KeyInPath) -> Receipt:
    """Everybody sees it, and test users get its variants."""
    return order.done(key, order.parts.split_tests.publish(order.request, key))


@router.post("/unpublish", summary="In Dev → Draft")
def unpublish(order: Steering, key: KeyInPath) -> Receipt:
    """Nobody else sees it any more."""
    return order.done(key, order.parts.split_tests.unpublish(order.request, key))


@router.post("/discard", summary="Throw a Draft away")
def discard(order: Steering, key: KeyInPath) -> Receipt:
    """Its key is free again."""
    return order.done(key, order.parts.split_tests.discard(order.request, key))


@router.post("/start", summary="In Dev → Running")
def start(order: Steering, key: KeyInPath) -> Receipt:
    """Real users get its variants, between its dates."""
    return order.done(key, order.parts.split_tests.start(order.request, key))


@router.post("/pause", summary="Running → Paused")
def pause(order: Steering, key: KeyInPath) -> Receipt:
    """Nobody gets a variant."""
    return order.done(key, order.parts.split_tests.pause(order.request, key))


@router.post("/resume", summary="Paused → Running")
def resume(order: Steering, key: KeyInPath) -> Receipt:
    """Variants are given again."""
    return order.done(key, order.parts.split_tests.resume(order.request, key))


@router.post("/finish", summary="Running or Paused → Finished")
def finish(order: Steering, key: KeyInPath, result: Result) -> Receipt:
    """One variant stays, worldwide or where the conditions match."""
    appended = order.parts.split_tests.finish(
        order.request, key, resulting_variant=result.resulting_variant, scope=result.scope
    )
    return order.done(key, appended)


@router.post("/reject", summary="Running or Paused → Rejected")
def reject(order: Steering, key: KeyInPath) -> Receipt:
    """The old behaviour stays."""
    return order.done(key, order.parts.split_tests.reject(order.request, key))
