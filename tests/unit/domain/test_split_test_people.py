import pytest

from domain.people import Actor, can_manage, can_see
from tests.unit.domain.histories import ANNA, BORIS, STRANGER, SUPERUSER

VISIBLE = ["in_dev", "running", "paused", "finished", "rejected"]


@pytest.mark.parametrize("status", ["draft", "discarded"])
def test_a_draft_is_seen_by_its_author_its_managers_and_superusers_only(status: str) -> None:
    seen_by = [actor.name for actor in (ANNA, BORIS, SUPERUSER, STRANGER) if can_see(actor, status, "anna", ("boris",))]
    assert seen_by == ["anna", "boris", "root"]


@pytest.mark.parametrize("status", VISIBLE)
def test_everything_else_is_seen_by_everybody(status: str) -> None:
    assert can_see(STRANGER, status, "anna", ())


def test_an_author_who_left_the_circle_sees_but_does_not_manage() -> None:
    assert can_see(ANNA, "draft", "anna", ("boris",))
    assert not can_manage(ANNA, ("boris",))


def test_a_nameless_actor_manages_nothing() -> None:
    assert not can_manage(Actor(name=""), ("anna",))
